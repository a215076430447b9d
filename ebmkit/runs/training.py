"""Training by settings: a new run, or one that is resumed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Generator

from ebmkit.acceleration.choice import choose
from ebmkit.config.layers import Layer, layer_of, loads
from ebmkit.config.recipe import Recipe, asks_for, check_finite, naming
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError, one_line
from ebmkit.methods.maximum_likelihood import Trainer, Update
from ebmkit.runs.build import build_parts, check_energy, first_starts, open_data, seeds_of
from ebmkit.runs.checkpoint import NAME, read_checkpoint
from ebmkit.runs.claims import refuse_existing
from ebmkit.runs.device import measured, pick_device, threads_for
from ebmkit.runs.folder import check_same, settings_in
from ebmkit.runs.run import Run

Settings = Recipe | Layer | Mapping[str, Mapping[str, Any]]


def train(
    settings: Settings | None = None, *, folder: str | Path | None = None, resume: str | Path | None = None
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

    Yields:
        Every update, after the watchers have seen it.

    Raises:
        UsageError: for settings, data or a folder that cannot be used.
        Diverged: if training diverged.
        Interrupted: if a signal stopped it.
    """
    if resume is None:
        return new_run(settings or {}, folder).train()
    if folder is not None:
        raise UsageError("a resumed run stays in its own folder: leave out `folder`")
    return resume_run(resume, settings).train()


def new_run(settings: Settings, folder: str | Path | None = None) -> Run:
    """Build every part of a run; nothing is written.

    Raises:
        UsageError: for settings out of range, data that cannot be read, an energy that does not take the data, a device
            that does not exist, or a folder that does.
    """
    recipe = settings if isinstance(settings, Recipe) else resolve([as_layer(settings)])
    if folder is not None:
        refuse_existing(Path(folder))
    device = pick_device(recipe.train.device)
    examples = open_data(recipe)
    if recipe.train.batch_size > len(examples):
        raise UsageError(
            f"train.batch_size={recipe.train.batch_size} is more than the data have: {len(examples)} examples"
        )
    parts = build_parts(recipe, examples.shape, lambda: examples, device)
    check_energy(parts.energy, recipe, examples)
    gradients = parts.sampler.promises.gradients
    choice = choose(
        parts.energy,
        first_starts(recipe, examples, device),
        precision=recipe.train.precision,
        compile=recipe.train.compile,
        passes=None if gradients is None else gradients * recipe.train.iterations,
        threads=threads_for(parts.energy, recipe.train),
    )
    recipe, seeds = measured(recipe, choice), seeds_of(recipe)
    optimizer = recipe.build("optimizer", params=list(parts.energy.parameters()))
    with naming("train", recipe.settings("train")):
        trainer = Trainer(
            *parts,
            optimizer,
            Generator(device).manual_seed(seeds.chains),
            energy_l2=recipe.train.energy_l2,
            gradient_clip=recipe.train.gradient_clip,
            average=recipe.train.average,
            schedule=recipe.train.schedule(recipe.train.lr_schedule),
            accelerate=choice.accelerated(parts.energy).refreshed,
        )
    place = None if folder is None else Path(folder)
    return Run(recipe, trainer, examples, Generator().manual_seed(seeds.batches), choice, place)


def resume_run(folder: str | Path, changes: Settings | None = None) -> Run:
    """The run in a folder, restored from its checkpoint.

    Args:
        folder: The folder of the run.
        changes: Settings that may differ from those of the run: `train.iterations`, `.device`, `.threads`,
            `.precision`, `.compile`, those of watchers, and those of `data` if the examples are the same.

    Raises:
        UsageError: if the folder is not that of a run, its checkpoint cannot be read, the data are others, or settings
            differ that must not; all of them are listed.
    """
    folder = Path(folder)
    base, saved = settings_in(folder), read_checkpoint(folder)
    if isinstance(changes, Recipe):
        raise UsageError("changes of a resumed run are sections of settings, not a recipe")
    before = resolve([loads(saved.config, str(folder / NAME))])
    recipe = resolve([base, as_layer(changes or {})])
    check_same(before, recipe)
    run = new_run(recipe)
    if before.sections["data"] != recipe.sections["data"] and run.examples.fingerprint != saved.data:
        raise UsageError(f"these are not the data of the run: it had {saved.data}, not {run.examples.fingerprint}")
    try:
        run.restore(saved)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {one_line(error)[:200]}"
        raise UsageError(f"{folder / NAME} does not fit the parts of the run: {reason}") from error
    run.folder, run.resumed = folder, True
    return run


def as_layer(settings: Layer | Mapping[str, Mapping[str, Any]]) -> Layer:
    """Settings as a layer."""
    return settings if isinstance(settings, Layer) else layer_of(settings, "settings")


def check_settings(recipe: Recipe) -> None:
    """Check what can be checked of a recipe without its data: the settings of loop, sampler and optimiser.

    Raises:
        UsageError: for a setting out of range.
    """
    _ = recipe.train
    if not asks_for(recipe.parts["sampler"], "shape") and not asks_for(recipe.parts["sampler"], "data"):
        recipe.build("sampler")
    check_finite("optimizer", recipe.settings("optimizer"))
