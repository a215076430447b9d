"""A trained model, opened from the folder of a run or from a model file, without its data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator

from ebmkit.config.layers import Layer, layer_of
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.config.sections import class_of
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, nearest, one_line
from ebmkit.methods.method import Method
from ebmkit.processes import Processes
from ebmkit.registry.component import BUILT_IN
from ebmkit.runs.build import build_method, open_data
from ebmkit.runs.checkpoint import NAME, PREVIOUS, Checkpoint, Damaged, read_checkpoint
from ebmkit.runs.device import pick_device, threads_for
from ebmkit.runs.folder import is_model_file, settings_in
from ebmkit.runs.model_file import read_model_file
from ebmkit.runs.newest import read_newest
from ebmkit.runs.parts import RecipeParts
from ebmkit.runs.saved import WEIGHTS, SavedModel
from ebmkit.shortrun import ShortRun

Weights = Literal["auto", "average", "last"]
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Model:
    """A trained model, ready to draw from.

    Attributes:
        short: The chain as a generator.
        method: The method that it was trained with, with its networks.
        shape: The shape of one example.
        recipe: The settings of the method, its parts and the training.
        saved: What it was read from.
        weights: Which weights it has: `average` or `last`.
        device: Where it computes.
        threads: How many CPU threads it should be given.
    """

    short: ShortRun
    method: Method
    shape: tuple[int, ...]
    recipe: Recipe
    saved: SavedModel
    weights: Literal["average", "last"]
    device: torch.device
    threads: int


def load(
    place: str | Path,
    *,
    weights: Weights = "auto",
    device: str | None = None,
    data: Mapping[str, Any] | None = None,
    method: Mapping[str, Any] | None = None,
) -> ShortRun:
    """The model of a run: its energy, its sampler, and where its chains start.

    One model can be drawn from in several threads, each with a generator of its own.

    Args:
        place: The folder of a run, or a file that `ebmkit export` wrote.
        weights: The moving average of the weights or the last ones; auto uses the average if the run kept one.
        device: Where to compute; None follows the setting of the run.
        data: Settings of the section `data` that replace those of the run, like `{"path": "moved"}`. Data are opened
            only if a part of the model needs them, as the init `data` does.
        method: Settings of the section `method` that replace those of the run, of those that the method names in
            `drawing`.

    Raises:
        UsageError: if the place is neither a run nor a model file, has no checkpoint, or does not have these weights;
            for a setting that does not concern drawing.
    """
    sections = {"data": data, "method": method}
    changes = layer_of({name: one for name, one in sections.items() if one is not None}, "load")
    return open_model(place, weights=weights, device=device, changes=changes).short


def open_model(
    place: str | Path,
    *,
    weights: Weights = "auto",
    device: str | None = None,
    changes: Layer | None = None,
    announce: Announce | None = None,
    processes: Processes | None = None,
) -> Model:
    """The model of a run or a file, with its settings and where it computes; see `load`, and `data_of` for `announce`.

    `changes` has settings of the sections `data` and `method` that replace those of the run.

    No file or address that its settings name is opened, except the data for a part that asks for them. Several
    `processes` open it together, each on a device of its own; None is only this one.
    """
    processes = processes or Processes()
    saved = read_model(Path(place))
    kept = pick_weights(saved, weights)
    recipe = resolve([saved.layer, *of_drawing(saved, changes)], "model")
    where = pick_device(recipe.train.device if device is None else device, processes)
    states = saved.states[kept]
    # What is opened has the weights that were picked, and needs no average beside them.
    unaveraged = recipe.with_value("train", "average", None, "model")
    parts = RecipeParts(
        unaveraged,
        saved.shape,
        lambda: data_of(saved, changes, announce),
        where,
        saved=states,
        training=False,
        processes=processes,
    )
    method = build_method(parts, Generator(where))
    try:
        if others := set(states) - set(method.drawn_from):
            raise KeyError(", ".join(sorted(others)))
        for name in method.drawn_from:
            method.stateful[name].load_state_dict(dict(states.get(name, {})))
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UsageError(
            f"{saved.source} does not fit its parts: {type(error).__name__}: {one_line(error)[:200]}"
        ) from error
    parameters = [parameter for network in method.networks.values() for parameter in network.parameters()]
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):
        raise UsageError(f"the weights in {saved.source} are not finite: nothing can be drawn from them")
    for parameter in parameters:  # scripted modules have no requires_grad_
        parameter.requires_grad_(False)
    for network in method.networks.values():
        network.eval()
    threads = threads_for(method.networks.values(), recipe.train)
    return Model(method.short_run(), method, saved.shape, recipe, saved, kept, where, threads)


def of_drawing(saved: SavedModel, changes: Layer | None) -> list[Layer]:
    """The changes in the section of the method, as layers.

    Raises:
        UsageError: for a setting that its method does not name in `drawing`.
    """
    given = {} if changes is None else changes.sections.get("method", {})
    if not given:
        return []
    method = resolve([saved.layer], "model").parts["method"]
    known = class_of(method).drawing
    for key in given:
        if key not in known:
            these = f"only {', '.join(known)} of it can be changed" if known else "it has none that can be changed"
            raise UsageError(f"method.{key} is no setting of drawing by method '{method.name}': {these} for a model")
    return [Layer("drawing", {"method": given})]


def read_model(place: Path) -> SavedModel:
    """The saved model in the folder of a run, in one of its checkpoints, or in a model file.

    Of a run whose newest checkpoint is damaged or missing it is the one before, with a warning.

    Raises:
        UsageError: if the place is none of these, or is damaged.
    """
    if is_model_file(place) and place.suffix == Path(NAME).suffix:
        found = read_named(place)
    elif is_model_file(place):
        return read_model_file(place)
    else:
        settings_in(place)  # a folder without settings is not the folder of a run
        found = read_newest(place).checkpoint
    return SavedModel(place, found.config, found.shape, found.updates, found.states)


def read_named(path: Path) -> Checkpoint:
    """The checkpoint in a file that was named itself, and in no other.

    Raises:
        UsageError: if it cannot be read.
    """
    try:
        return read_checkpoint(path.parent, path.name)
    except Damaged as error:
        if path.name != NAME or not path.with_name(PREVIOUS).is_file():
            raise
        raise Damaged(f"{error}; the one before is {path.with_name(PREVIOUS)}") from None


def data_of(saved: SavedModel, changes: Layer | None = None, announce: Announce | None = None) -> Examples:
    """The examples that a model was trained on, or those of another data set.

    Args:
        saved: The model.
        changes: Has settings of the section `data` that replace those of the run; None for the run's own.
        announce: Called with a line that says which data these are, before they are opened, if the settings of the
            model name them, and not `changes`: a model that somebody sent may name any file, and any data set of the
            hub.

    Raises:
        UsageError: if they cannot be read, or have another shape than the samples of the model.
    """
    changed = changes is not None and bool(changes.sections.get("data"))
    recipe = resolve([saved.layer, *([changes] if changes is not None else [])], "data")
    if announce is not None and not changed and reads_elsewhere(recipe):
        given = ", ".join(f"{key}={value}" for key, value in recipe.settings("data").items() if value is not None)
        announce(f"data      {recipe.parts['data'].name}({given}), as {saved.source} says")
    try:
        examples = open_data(recipe)
    except UsageError as error:
        if changed:
            raise
        raise UsageError(f"{error}; if the data have moved, say where: --data NAME -s data.path=PATH") from error
    if examples.shape != saved.shape:
        raise UsageError(f"the model is of examples {saved.shape}, but the data have shape {examples.shape}")
    return examples


def reads_elsewhere(recipe: Recipe) -> bool:
    """Whether the data of a recipe may be read from a file or from the hub, and are not made or part of the library."""
    named = any(isinstance(value, Path) or key == "id" for key, value in recipe.settings("data").items())
    return named or recipe.parts["data"].plugin is not BUILT_IN


def pick_weights(saved: SavedModel, weights: str) -> Literal["average", "last"]:
    """The name of the saved weights to use.

    Raises:
        UsageError: for an unknown name, or weights that were not saved.
    """
    words = ("auto", *WEIGHTS)
    if weights not in words:
        raise UsageError(f"weights must be {' or '.join(words)}, not '{weights}'.{nearest(weights, words)}")
    if weights == "auto":
        return "average" if "average" in saved.states else "last"
    if weights not in saved.states:
        raise UsageError(
            f"{saved.source} has no '{weights}' weights, only {', '.join(saved.states)}; use auto, or train.average"
        )
    return weights  # type: ignore[return-value]
