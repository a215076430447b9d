"""A trained model, opened from the folder of a run or from one file: no data, no optimiser, no trainer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from ebmkit.acceleration.choice import choose
from ebmkit.config.layers import Layer
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, nearest, one_line
from ebmkit.runs.build import build_parts, open_data
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.device import pick_device, threads_for
from ebmkit.runs.folder import settings_in
from ebmkit.runs.model_file import read_model_file
from ebmkit.runs.saved import SavedModel
from ebmkit.shortrun import ShortRun

Weights = Literal["auto", "average", "last"]
WEIGHTS = get_args(Weights)
MODEL_PARTS = ("energy", "sampler", "init")


@dataclass(frozen=True)
class Model:
    """A trained model, ready to draw from.

    Attributes:
        short: The chain as a generator.
        shape: The shape of one example.
        recipe: The settings of energy, sampler, init and training.
        saved: What it was read from.
        weights: Which weights it has: `average` or `last`.
        device: Where it computes.
        threads: How many CPU threads it should be given.
    """

    short: ShortRun
    shape: tuple[int, ...]
    recipe: Recipe
    saved: SavedModel
    weights: Literal["average", "last"]
    device: torch.device
    threads: int


def load(place: str | Path, *, weights: Weights = "auto", device: str | None = None) -> ShortRun:
    """The model of a run: its energy, its sampler, and where its chains start.

    One model can be drawn from in several threads, each with a generator of its own.

    Args:
        place: The folder of a run, or a file that `ebmkit export` wrote.
        weights: The moving average of the weights or the last ones; auto uses the average if the run kept one.
        device: Where to compute; None follows the setting of the run.

    Raises:
        UsageError: if the place is no run and no model, has no checkpoint, or not the weights that were asked for.
    """
    return open_model(place, weights=weights, device=device).short


def open_model(place: str | Path, *, weights: Weights = "auto", device: str | None = None) -> Model:
    """The model of a run or a file, with what is known of it; see `load`."""
    saved = read_model(Path(place))
    kept = pick_weights(saved, weights)
    recipe = resolve([saved.layer], MODEL_PARTS)
    where = pick_device(recipe.train.device if device is None else device)
    energy, sampler, init = build_parts(recipe, saved.shape, lambda: data_of(saved), where)
    try:
        energy.load_state_dict(dict(saved.weights[kept]))
        init.load_state_dict(saved.init)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UsageError(
            f"{saved.source} does not fit its parts: {type(error).__name__}: {one_line(error)[:200]}"
        ) from error
    if not all(bool(parameter.isfinite().all()) for parameter in energy.parameters()):
        raise UsageError(f"the weights in {saved.source} are not finite: nothing can be drawn from them")
    energy.requires_grad_(False).eval()
    threads = threads_for(energy, recipe.train)
    start = torch.zeros(recipe.train.batch_size, *saved.shape, device=where)
    choice = choose(
        energy, start, precision=recipe.train.precision, compile=recipe.train.compile, passes=None, threads=threads
    )
    short = ShortRun(choice.accelerated(energy), sampler, init)
    return Model(short, saved.shape, recipe, saved, kept, where, threads)


def read_model(place: Path) -> SavedModel:
    """What the folder of a run, or a file, contains of a model.

    Raises:
        UsageError: if it is neither.
    """
    if place.is_file():
        return read_model_file(place)
    settings_in(place)  # a folder without settings is not the folder of a run
    found = read_checkpoint(place)
    return SavedModel(place, found.config, found.shape, found.updates, found.weights, found.trainer["init"])


def data_of(saved: SavedModel, changes: Layer | None = None) -> Examples:
    """The examples that a model was trained on, or those of another data set.

    Args:
        saved: The model.
        changes: Settings of the section `data`, where the examples have moved or others are meant.

    Raises:
        UsageError: if they cannot be read, or have another shape than the samples of the model.
    """
    recipe = resolve([saved.layer, *([changes] if changes else [])], ("data",))
    try:
        examples = open_data(recipe)
    except UsageError as error:
        if changes:
            raise
        raise UsageError(f"{error}; if the data have moved, say where: --data NAME -s data.path=PATH") from error
    if examples.shape != saved.shape:
        raise UsageError(f"the model is of examples {saved.shape}, but the data have shape {examples.shape}")
    return examples


def pick_weights(saved: SavedModel, weights: str) -> Literal["average", "last"]:
    """Which of the saved weights to use.

    Raises:
        UsageError: for unknown weights, or an average that was not kept.
    """
    if weights not in WEIGHTS:
        raise UsageError(f"weights must be {' or '.join(WEIGHTS)}, not '{weights}'.{nearest(weights, WEIGHTS)}")
    if weights == "auto":
        return "average" if "average" in saved.weights else "last"
    if weights not in saved.weights:
        raise UsageError(
            f"{saved.source} has no '{weights}' weights, only {', '.join(saved.weights)}; use auto, or train.average"
        )
    return weights  # type: ignore[return-value]
