"""Training by settings: a new run, or one that is resumed."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Generator

from ebmkit.acceleration.choice import Choice
from ebmkit.config.layers import Layer, layer_of, loads
from ebmkit.config.recipe import Recipe, asks_for, check_finite, naming
from ebmkit.config.resolution import resolve
from ebmkit.data.examples import check_flip
from ebmkit.errors import Notice, UsageError, kind_and_message
from ebmkit.methods.update import Update
from ebmkit.processes import Processes, joined
from ebmkit.runs.alike import check_alike
from ebmkit.runs.build import build_method, check_energies, check_starts, open_data, seeds_of
from ebmkit.runs.device import measured, pick_device
from ebmkit.runs.diverging import set_rate
from ebmkit.runs.events import has_diverged
from ebmkit.runs.facts import check_labels
from ebmkit.runs.folder import FREE, check_same, settings_in
from ebmkit.runs.links import refuse_links_out
from ebmkit.runs.new_folders import refuse_existing
from ebmkit.runs.newest import read_to_resume
from ebmkit.runs.origin import read_origin, settings_of, start_from
from ebmkit.runs.parts import RecipeParts
from ebmkit.runs.ranks import saved_by
from ebmkit.runs.run import Run
from ebmkit.runs.saved import SavedModel
from ebmkit.runs.trial import try_out

Settings = Recipe | Layer | Mapping[str, Mapping[str, Any]]


def train(
    settings: Settings | None = None,
    *,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    origin: str | Path | None = None,
) -> Iterator[Update]:
    """Train an energy as `ebmkit train` does, without printing.

    The run has a folder, watchers and checkpoints, and can be resumed from Python or from the command line. To get at
    its folder, its trainer and its status, use `new_run` or `resume_run`, then `Run.train`.

    >>> settings = {"sampler": {"steps": 20}, "train": {"iterations": 2}}
    >>> for update in train(settings, folder="runs/a"):  # doctest: +SKIP
    ...     print(update.index)

    Args:
        settings: Sections of settings, as in config.toml; the rest have their defaults.
        folder: The folder of a new run; None makes one in `runs/`.
        resume: The folder of a run to resume; then `settings` are changes, like more `train.iterations`.
        origin: What a new run starts from; then `settings` are changes to those of the origin. See `new_run`.

    Yields:
        Every update, after the watchers have seen it.

    Raises:
        UsageError: for settings, data or a folder that cannot be used.
        Diverged: if training diverged.
        Interrupted: if a signal stopped it.
    """
    if resume is None:
        return new_run(settings or {}, folder, origin=origin).train()
    if folder is not None or origin is not None:
        given = "origin" if folder is None else "folder"
        raise UsageError(f"a resumed run stays in its own folder: leave out `{given}`")
    return resume_run(resume, settings).train()


def new_run(
    settings: Settings,
    folder: str | Path | None = None,
    *,
    origin: str | Path | SavedModel | None = None,
    processes: Processes | None = None,
) -> Run:
    """Build every part of a run; nothing is written.

    One update with chains of one step is tried on other parts, saved in memory, and read back as a resumed run would.

    Args:
        settings: Sections of settings, or a recipe.
        folder: The folder of the run; None makes one in `runs/`.
        origin: The folder of another run, one of its checkpoints, or a model file, whose weights, moving average and
            replay buffer the run starts with, or what `read_origin` has read from one of these. Its settings are the
            defaults of those that `settings` leaves out; a recipe is complete, and leaves out none.
        processes: The processes that train it together; None are those that this program was started with.

    Raises:
        UsageError: for settings out of range, data that cannot be read, an energy that does not take the data, parts
            that cannot make an update or be restored from their state, a device that does not exist, a folder that
            does, or an origin of another energy or shape.
    """
    processes = processes or joined()
    with processes.together():
        saved = origin if origin is None or isinstance(origin, SavedModel) else read_origin(origin)
        below = [] if saved is None else [settings_of(saved)]
        recipe = settings if isinstance(settings, Recipe) else resolve([*below, as_layer(settings)])
        if folder is not None and processes.first:
            refuse_existing(Path(folder))
        run = _built(recipe, None if folder is None else Path(folder), processes, tried=True)
        if saved is not None:
            run.origin = start_from(saved, run.trainer, run.recipe, run.examples.shape)
    return run


def _built(recipe: Recipe, folder: Path | None, processes: Processes, *, tried: bool) -> Run:
    """A run of new parts; `tried` says whether starts are drawn, and an update made and read back, on others."""
    device = pick_device(recipe.train.device, processes)
    with naming("train", recipe.settings("train")):
        size = recipe.train.part(processes.size)
    examples = open_data(recipe)
    if recipe.train.batch_size > len(examples):
        raise UsageError(
            f"train.batch_size={recipe.train.batch_size} is more than the data have: {len(examples)} examples"
        )
    if recipe.train.flip:
        with naming("train", recipe.settings("train")):
            check_flip(examples.shape)
    saved: dict[str, Any] | None = None if tried else {}
    parts = RecipeParts(recipe, examples.shape, lambda: examples, device, saved=saved, processes=processes)
    seeds = seeds_of(recipe, rank=processes.rank)
    method = build_method(parts, Generator(device).manual_seed(seeds.chains))
    check_energies(parts, examples)
    check_labels(method, examples)
    if processes.size > 1:
        check_alike(parts, examples.fingerprint)
    if tried:
        check_starts(parts, examples)
        try_out(recipe, examples, device, method, size)
    choice = parts.choice or Choice("fp32", False)
    recipe = settled(measured(recipe, choice), examples.shape)
    return Run(recipe, method, parts, examples, Generator().manual_seed(seeds.batches), choice, folder)


def resume_run(folder: str | Path, changes: Settings | None = None, *, processes: Processes | None = None) -> Run:
    """The run in a folder, restored from its checkpoint; nothing is written.

    If the newest checkpoint is damaged or missing, the run is restored from the one before, with a warning.

    Args:
        folder: The folder of the run.
        changes: Settings that may differ from those of the run: `train.iterations`, `.device`, `.threads`,
            `.precision`, `.compile`, those of watchers, those about divergence, and those of `data` if the examples are
            the same. A run that diverged is resumed from its checkpoint from before the turn, and `optimizer.lr` may
            differ too.
        processes: The processes that train it together; None are those that this program was started with.

    Raises:
        UsageError: if the folder is not that of a run, its checkpoint cannot be read, the data are others, or settings
            differ that must not; all of them are listed. Or something in the folder is a link out of it.
    """
    processes = processes or joined()
    with processes.together():
        return _resumed(Path(folder), changes, processes)


def _resumed(folder: Path, changes: Settings | None, processes: Processes) -> Run:
    base, diverged = settings_in(folder), has_diverged(folder)
    refuse_links_out(folder)
    opened = read_to_resume(folder, diverged)
    name, saved = opened.name, opened.checkpoint
    if isinstance(changes, Recipe):
        raise UsageError("changes of a resumed run are sections of settings, not a recipe")
    before = resolve([loads(saved.config, str(folder / name))])
    recipe = resolve([base, as_layer(changes or {})])
    rates = [f"{section}.lr" for section in recipe.of_kind("optimizer")] if diverged else []
    check_same(before, recipe, (*FREE, *rates))
    run = _built(recipe, None, processes, tried=False)
    if before.sections["data"] != recipe.sections["data"] and run.examples.fingerprint != saved.data:
        raise UsageError(f"these are not the data of the run: it had {saved.data}, not {run.examples.fingerprint}")
    try:
        run.restore(saved)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UsageError(f"{folder / name} does not fit the parts of the run: {kind_and_message(error)}") from error
    check_starts(run.parts, run.examples)
    for section, optimizer in run.trainer.optimizers.items():
        rate = recipe.sections.get(section, {}).get("lr")
        if rate is not None and rate != before.sections[section].get("lr"):
            set_rate(optimizer, [rate] * len(optimizer.param_groups))
    run.folder, run.opened = folder, opened
    if processes.first and saved_by(saved.trainer) != processes.size:
        counts = f"{saved_by(saved.trainer)} at the last checkpoint, {processes.size} now"
        warnings.warn(f"the number of processes changes ({counts}): their chains draw others", Notice, stacklevel=3)
    return run


def settled(recipe: Recipe, shape: tuple[int, ...]) -> Recipe:
    """The recipe with the weight of the gradient penalty in place of `auto`, so that the run can be repeated."""
    if recipe.sections["train"].get("gradient_penalty") != "auto":
        return recipe
    return recipe.with_value("train", "gradient_penalty", recipe.train.penalty(shape), f"auto, for examples {shape}")


def as_layer(settings: Layer | Mapping[str, Mapping[str, Any]]) -> Layer:
    """Settings as a layer."""
    return settings if isinstance(settings, Layer) else layer_of(settings, "settings")


def check_settings(recipe: Recipe) -> None:
    """Check what can be checked of a recipe without its data: the settings of loop, samplers and optimisers.

    Raises:
        UsageError: for a setting out of range.
    """
    _ = recipe.train
    for section in recipe.of_kind("sampler"):
        if not asks_for(recipe.parts[section], "shape") and not asks_for(recipe.parts[section], "data"):
            recipe.build(section)
    for section in recipe.of_kind("optimizer"):
        check_finite(section, recipe.settings(section))
