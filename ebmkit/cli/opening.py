"""The model that a command opens, and the progress of the chains that it runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Generator, Tensor

from ebmkit.cli.console import err, say
from ebmkit.config.layers import Layer, typed
from ebmkit.config.recipe import build_part
from ebmkit.config.resolution import resolve_part
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, check
from ebmkit.pictures import drawable, drawn_count
from ebmkit.processes import Processes
from ebmkit.runs.checkpoint import BEFORE
from ebmkit.runs.device import occupy
from ebmkit.runs.events import has_diverged
from ebmkit.runs.model import Model, data_of, open_model
from ebmkit.runs.origin import fingerprint
from ebmkit.runs.shared_samples import rounds_of, samples_of_all, seed_of
from ebmkit.shortrun import ShortRun

PATIENCE = 2.0  # seconds after which a terminal shows a bar
SILENCE = 30.0  # seconds after which a plain line is printed elsewhere


def typed_settings(data: str | None, settings: list[str], sections: tuple[str, ...] = ("data", "method")) -> Layer:
    """The settings that the options --data and -s give, in any of `sections`.

    Raises:
        UsageError: for a text of another form, or another section.
    """
    return typed([*([f"data.use={data}"] if data is not None else []), *settings], sections)


def opened(
    place: Path, weights: str, device: str, seed: int, typed: Layer, processes: Processes | None = None
) -> tuple[Model, Generator]:
    """The model of a run or a file, and a generator for what is drawn from it; torch gets the threads of the run.

    Args:
        place: The folder of a run, or a model file.
        weights: The name of its weights, or auto.
        device: Where to compute.
        seed: The seed of the generator.
        typed: Settings of the section `data`, for a part that asks for the data, and of drawing, in `method`.
        processes: Those that open it together, each with a generator of its own; None is only this one.

    Raises:
        UsageError: if the place is not a model, does not have these weights, or an option is out of range; if it is
            not the same model in all processes.
    """
    check("seed", seed, at_least=0, below=2**63)
    processes = processes or Processes()
    model = open_model(
        place, weights=cast(Any, weights), device=device, changes=typed, announce=say, processes=processes
    )
    if processes.size > 1:
        states = model.saved.states[model.weights]
        processes.check_same("weights", ", ".join(f"{name} {fingerprint(state)}" for name, state in states.items()))
    if has_diverged(place):
        say(f"note: the run {place} diverged, and this is its last checkpoint; from before the turn: {place / BEFORE}")
    occupy(model.threads)
    return model, Generator(model.device).manual_seed(seed_of(seed, processes.rank))


def examples_of(model: Model, typed: Layer) -> Examples:
    """The examples that a model was trained on, or those that the options name; a line says which these are."""
    return data_of(model.saved, typed, say)


def other_examples(name: str, typed: Layer) -> Examples:
    """The data set of this name, with the settings that the options give in the section `other`."""
    layer = Layer(typed.name, {"data": typed.sections.get("other", {})})
    component, settings = resolve_part("data", name, layer)
    return Examples(build_part(component, "other", settings, {}))


def chains_of_reconstruction(model: Model, updates: int) -> int | None:
    """The passes of a reconstruction in units of one chain: each update runs a chain, and may go back through it.

    None for a model with an inference of its own.
    """
    if type(model.short).reconstruct is not ShortRun.reconstruct:
        return None
    return (updates + 1) * (1 if model.short.translates else 2)


def enough(n: int | None, images: int, shape: tuple[int, ...], name: str = "n") -> int:
    """The value of the option `name`; by default `images`, or as many points as make a cloud.

    Raises:
        UsageError: if it is below 1.
    """
    if n is None:
        return drawn_count(shape, images)
    check(name, n, at_least=1)
    return n


def refuse_undrawable(shape: tuple[int, ...]) -> None:
    """Refuse to draw examples that are neither images nor points in the plane.

    Raises:
        UsageError: naming the command that writes their values.
    """
    if not drawable(shape):
        raise UsageError(
            f"examples of shape {shape} cannot be drawn: they are neither images of 1 or 3 channels nor points in the "
            "plane; to get their values write: ebmkit sample RUN --out FILE.npy"
        )


@contextmanager
def followed(short: ShortRun, chains: int | None) -> Iterator[ShortRun]:
    """The same model with its passes counted and shown: as a bar on a terminal, as plain lines elsewhere.

    Args:
        short: The model.
        chains: How many chains will be run one after another; None if that is not known.
    """
    each = short.sampler.promises.gradients
    total = None if each is None or chains is None else each * chains
    with counted("passes through the energy", "passes", total) as on_pass:
        yield short.counted(lambda: on_pass(1))


@contextmanager
def drawn(short: ShortRun, n: int, rng: Generator, batch: int, processes: Processes) -> Iterator[Iterator[Tensor]]:
    """The samples that all processes draw; see `samples_of_all`. The first shows its passes."""
    if not processes.first:
        yield samples_of_all(short, n, rng, processes, batch=batch)
        return
    with followed(short, rounds_of(n, batch, processes.size)) as shown:
        yield samples_of_all(shown, n, rng, processes, batch=batch)


@contextmanager
def counted(title: str, word: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A function that counts work as it is done; what it counted is shown as a bar or as plain lines.

    Args:
        title: What is counted, in front of the bar.
        word: The same in plain lines.
        total: How much work there is; None if unknown.
    """
    console = err()
    columns = (
        TextColumn(title),
        MofNCompleteColumn(),
        BarColumn(bar_width=24),
        TimeRemainingColumn(compact=True),
    )
    # What is printed meanwhile goes above the bar, but results stay on stdout.
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    task = bar.add_task("", total=total)
    began = last = time.perf_counter()
    count = 0

    def on_work(done: int) -> None:
        nonlocal count, last
        count, now = count + done, time.perf_counter()
        if console.is_terminal:
            bar.update(task, completed=count)
            if not bar.live.is_started and now - began >= PATIENCE:
                bar.start()
        elif now - last >= SILENCE:
            last = now
            say(f"{word}={count}/{total or '?'} seconds={now - began:.0f}")

    try:
        yield on_work
    finally:
        if bar.live.is_started:
            bar.stop()
