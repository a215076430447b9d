"""The folder of a run: how it is made, what its configuration says, and how it is prepared for a resumed run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from ebmkit.config.conversion import NONE
from ebmkit.config.layers import Layer, read
from ebmkit.config.recipe import Recipe
from ebmkit.config.sections import METHOD
from ebmkit.errors import UsageError
from ebmkit.files import indented_json, json_of, write_text
from ebmkit.runs.events import rewrite_metrics
from ebmkit.runs.links import refuse_link_out
from ebmkit.runs.new_folders import clear, create, first_free
from ebmkit.runs.surroundings import environment

NAMED = ("energy", "sampler", "init")  # the parts that name the folder of a run
CONFIG, ENVIRONMENT = "config.toml", "env.json"
# What a resumed run may change, besides its watchers. Data may have moved; that they are the same is checked apart.
FREE = (
    *("train.iterations", "train.device", "train.threads", "train.precision", "train.compile", "train.rank_timeout"),
    *("train.on_divergence", "train.rollbacks", "train.rollback_factor", "data"),
)


@contextmanager
def new_folder(
    folder: Path | None, recipe: Recipe, device: torch.device, origin: Mapping[str, Any] | None = None
) -> Iterator[Path]:
    """Make the folder of a new run, with `config.toml` and `env.json` in it once the block has ended.

    If the block raises, the folder is removed, and so are the parents that were made for it; of a folder that existed
    and was empty, only what was put there is removed.

    Args:
        folder: The folder; None makes the first free `runs/<energy>-<sampler>-<init>-NNN`, or
            `runs/<method>-<data>-NNN` for other methods than maximum likelihood, also where several runs start at once.
        recipe: The settings of the run.
        device: Where it computes.
        origin: What the run started from, for `env.json`; None if from nothing.

    Raises:
        UsageError: if the folder is not empty or cannot be made, or a setting cannot be written.
        Unwritten: if `config.toml` or `env.json` cannot be written.
    """
    started = {} if origin is None else {"origin": dict(origin)}
    config, made_with = config_text(recipe), indented_json({**environment(recipe, device), **started})
    wanted = folder or Path("runs/new")
    missing = [place for place in (wanted, *wanted.parents) if not place.exists()]
    made = None
    try:
        usual = recipe.parts["method"].name == METHOD.use
        named = NAMED if usual else ("method", "data")
        name = "-".join(recipe.parts[part].name for part in named)
        made = first_free(name) if folder is None else create(folder, CONFIG)
        yield made
        write_text(made / CONFIG, config)
        write_text(made / ENVIRONMENT, made_with)
    except BaseException:
        if made is not None:
            clear(made)
        for place in [*([made] if made is not None and folder is None else []), *missing]:
            with suppress(OSError):  # another run has begun in it
                place.rmdir()
        raise


def config_text(recipe: Recipe) -> str:
    """The text of `config.toml`.

    Raises:
        UsageError: if a setting contains characters that UTF-8 cannot encode, as names of files may.
    """
    text = recipe.toml()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"cannot write {CONFIG}: a setting contains characters that UTF-8 cannot encode") from None
    return text


def is_model_file(place: Path) -> bool:
    """Whether a place is a file, as a model file is, and not the folder of a run.

    Raises:
        UsageError: for a path that the system does not accept.
    """
    try:
        return place.is_file()
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}") from None


def generated(place: Path) -> Path:
    """The folder for what is drawn from a model: in the folder of a run, or beside a model file.

    Raises:
        UsageError: if it is a link that leads elsewhere.
    """
    found = place.with_name(f"{place.stem}-generated") if is_model_file(place) else place / "generated"
    refuse_link_out(found)
    return found


def settings_in(folder: Path) -> Layer:
    """The configuration of an existing run, as a layer.

    Raises:
        UsageError: if the folder is not that of a run.
    """
    try:
        is_run = (folder / CONFIG).is_file()
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from None
    if not is_run and folder.suffix == ".pt" and folder.is_file():
        raise UsageError(
            f"{folder} is a checkpoint: a new run from it is --from {folder}, and a run is resumed by its folder: "
            f"--resume {folder.parent}"
        )
    if not is_run:
        raise UsageError(f"{folder} is not the folder of a run: it has no {CONFIG}; name one like runs/a")
    return read(folder / CONFIG)


def check_same(before: Recipe, after: Recipe, free: Sequence[str] = FREE) -> None:
    """Refuse to resume with settings other than those of the run, except those of watchers and in `free`.

    Raises:
        UsageError: listing every difference.
    """
    differences = []
    for section in {**before.sections, **after.sections}:
        if section.startswith("watch."):
            continue
        old, new = before.sections.get(section, {}), after.sections.get(section, {})
        for key in {**old, **new}:
            if {section, f"{section}.{key}"}.isdisjoint(free) and old.get(key) != new.get(key):
                differences.append(f"{section}.{key} was {shown(old, key)}, now {shown(new, key)}")
    if differences:
        listed = ", ".join("data.*" if one == "data" else one for one in free)
        raise UsageError(
            f"--resume cannot change settings: {'; '.join(differences)} (only {listed} and watch.* may change; "
            "a new run that starts from this one: --from)"
        )


def shown(values: Mapping[str, object], key: str) -> str:
    """A value in a message; `absent` if there is none."""
    return "absent" if key not in values else NONE if values[key] is None else str(values[key])


def rewrite_folder(
    folder: Path, recipe: Recipe, index: int, device: torch.device, events: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Prepare the folder of a run that is resumed after update `index`.

    The metrics are those up to that update, the settings are rewritten, and `env.json` gets what the run is resumed
    with.

    Raises:
        UsageError: if a setting cannot be written.
    """
    # The settings first: until the metrics say that a run was resumed, it goes back to before its divergence again.
    write_text(folder / CONFIG, config_text(recipe))
    rewrite_metrics(folder, index, events)
    try:
        before = dict(json_of((folder / ENVIRONMENT).read_text(encoding="utf-8-sig")))
        earlier = list(before.get("resumed", []))
    except (OSError, ValueError, TypeError):
        before, earlier = {}, []
    resumed = [*earlier, {"from_update": index, **environment(recipe, device)}]
    write_text(folder / ENVIRONMENT, indented_json({**before, "resumed": resumed}))
