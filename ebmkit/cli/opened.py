"""A run's model as the commands use it: opened by their options, its work followed, its limits told."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Generator, Tensor

import ebmkit
from ebmkit.cli.console import err, say
from ebmkit.errors import UsageError, check
from ebmkit.interfaces import EnergyFn, evaluate, evaluating, value_and_grad
from ebmkit.loading import Weights, model, network, opened
from ebmkit.machine import occupy
from ebmkit.pictures import drawable
from ebmkit.run import Run
from ebmkit.shortrun import ShortRun

PATIENCE = 2.0  # seconds after which a bar is due on a terminal
SILENCE = 30.0  # seconds after which a plain line is due elsewhere
CLOUD = 64  # a cloud of points needs so many times the examples of a grid


class Opened(NamedTuple):
    """A run, its model, the randomness of what is drawn from it, and the shape of an example."""

    run: Run
    short: ShortRun
    rng: Generator
    shape: tuple[int, ...]


def open_model(place: Path, weights: str, device: str, seed: int) -> Opened:
    """The model of the run in a folder; torch gets as many threads as the run had.

    Raises:
        UsageError: if the folder is no run, has no checkpoint or not these weights, or an option is out of range.
    """
    check("seed", seed, at_least=0, below=2**63)
    run = opened(place, device)
    occupy(run.threads)
    short = model(run, cast(Weights, weights))
    return Opened(run, short, Generator(run.trainer.rng.device).manual_seed(seed), run.examples.shape)


def with_steps(short: ShortRun, steps: int) -> ShortRun:
    """The same model with chains of another length.

    Raises:
        UsageError: if its sampler has no such setting, or it is out of range.
    """
    sampler = short.sampler
    if not dataclasses.is_dataclass(sampler) or not hasattr(sampler, "steps"):
        raise UsageError(f"--steps needs a sampler with the setting `steps`; {type(sampler).__name__} has none")
    return dataclasses.replace(short, sampler=dataclasses.replace(sampler, steps=steps))


def enough(n: int | None, images: int, shape: tuple[int, ...], name: str = "n") -> int:
    """How many were asked for, by the option `name`; else `images`, or as many points in the plane as make a cloud."""
    if n is None:
        return images * CLOUD if shape == (2,) else images
    check(name, n, at_least=1)
    return n


def exported(run: Run, weights: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights that were asked for, by name, and what a file says of them."""
    energy, kept = network(run, cast(Weights, weights))
    # A file holds each tensor in the order of its indices, whatever its order in memory.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in energy.state_dict().items()
    }
    return tensors, {
        "ebmkit": ebmkit.__version__,
        "config": run.recipe.toml(),
        "shape": json.dumps(run.examples.shape),
        "weights": kept,
        "updates": str(run.trainer.index),
    }


def refuse_undrawable(shape: tuple[int, ...]) -> None:
    """Refuse to draw examples that are neither images nor points.

    Raises:
        UsageError: naming what can be done.
    """
    if not drawable(shape):
        raise UsageError(
            f"examples of shape {shape} cannot be drawn: they are neither images of 1 or 3 channels nor points in the "
            "plane; for their numbers write: ebmkit sample RUN --out FILE.npy"
        )


class Told:
    """An energy that tells of each pass through it."""

    def __init__(self, energy: EnergyFn, tick: Callable[[], None]) -> None:
        self.energy, self.tick = energy, tick
        self.piecewise_linear = bool(getattr(energy, "piecewise_linear", False))

    def __call__(self, x: Tensor) -> Tensor:
        """The energy itself."""
        self.tick()
        with evaluating(self.energy):
            return evaluate(self.energy, x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Energy and gradient."""
        self.tick()
        return value_and_grad(self.energy, x)


@contextmanager
def followed(short: ShortRun, chains: int) -> Iterator[ShortRun]:
    """The same model, whose work a person can follow: a bar on a terminal, plain lines elsewhere.

    Args:
        short: The model.
        chains: How many chains will follow each other.
    """
    each = short.sampler.promises.gradients
    total = None if each is None else each * chains
    console = err()
    columns = (
        TextColumn("passes through the energy"),
        MofNCompleteColumn(),
        BarColumn(bar_width=24),
        TimeRemainingColumn(compact=True),
    )
    # What is printed meanwhile goes above the bar, but results stay on stdout.
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    task = bar.add_task("", total=total)
    began = last = time.perf_counter()
    count = 0

    def tick() -> None:
        nonlocal count, last
        count, now = count + 1, time.perf_counter()
        if console.is_terminal:
            bar.update(task, completed=count)
            if not bar.live.is_started and now - began >= PATIENCE:
                bar.start()
        elif now - last >= SILENCE:
            last = now
            say(f"passes={count}/{total or '?'} seconds={now - began:.0f}")

    try:
        yield dataclasses.replace(short, energy=Told(short.energy, tick))
    finally:
        if bar.live.is_started:
            bar.stop()
