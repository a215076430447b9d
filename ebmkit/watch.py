"""Watchers: generators around the loop. Each yields every step that it was given, and looks at it.

A watcher knows one file or none. It saves at the end, and when the consumer leaves (`GeneratorExit`); not in
`finally`, which would write a broken state over the last good one.
"""

import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import Diverged, UsageError, check
from ebmkit.interfaces import evaluating
from ebmkit.pictures import beside, drawable, grid, strip
from ebmkit.training import Step, Trainer

REMEDIES = "try a lower optimizer.lr, more sampler.steps, more train.data_noise, or train.energy_l2=0.1"
Steps = Iterator[Step]


def measures(step: Step) -> dict[str, float]:
    """The figures of a step by name; asking for them waits for the device, once.

    `gap` is mean E(batch) - mean E(fake); the rest is named as in `Step` and `follow`.
    """
    real, fake = step.real_energy.mean(), step.fake_energy.mean()
    scalars = {"loss": step.loss, "gap": real - fake, "real_energy": real, "fake_energy": fake}
    scalars |= {"gradient_norm": step.gradient_norm, **step.chain}
    values = torch.stack([value.float() for value in scalars.values()]).tolist()
    return dict(zip(scalars, values, strict=True))


def json_line(figures: Mapping[str, Any]) -> str:
    """Figures as one line of JSON, which has no word for NaN and infinities: they become null."""
    strict = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in figures.items()
    }
    return json.dumps(strict, allow_nan=False)


def divergence(steps: Steps, *, every: int = 1, limit: float = 1e8) -> Steps:
    """Stop the run when a figure is not finite, or when an energy is too large.

    Args:
        every: Look at each N-th step; 0 never looks.
        limit: The largest mean energy that is let pass, in absolute value.

    Raises:
        Diverged: naming the step and the figure, and what to try.
    """
    check("every", every, at_least=0)
    check("limit", limit, above=0)

    def watched() -> Steps:
        for step in steps:
            if every and step.index % every == 0:
                for name, value in measures(step).items():
                    if not math.isfinite(value) or ("energy" in name and abs(value) > limit):
                        raise Diverged(f"diverged at step {step.index}: {name} is {value:.3g}; {REMEDIES}")
            yield step

    return watched()


def metrics(steps: Steps, trainer: Trainer, folder: Path, *, every: int = 1) -> Steps:
    """Append a line of figures to `metrics.jsonl`, flushed, for each N-th step.

    Args:
        every: Write each N-th step; 0 writes none.
    """
    check("every", every, at_least=0)
    # A sampler whose noise is one number for all steps states a temperature too.
    noise = getattr(trainer.sampler, "noise", None) if hasattr(trainer.sampler, "temperature") else None

    def watched() -> Steps:
        since, counted = time.perf_counter(), 0
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            for step in steps:
                counted += 1
                if every and step.index % every == 0:
                    line: dict[str, Any] = {"step": step.index, **measures(step)}
                    if noise is not None:
                        line["noise_size"] = noise * math.sqrt(step.fake[0].numel())
                    now = time.perf_counter()
                    line["seconds_per_step"] = round((now - since) / counted, 6)
                    since, counted = now, 0
                    file.write(json_line(line) + "\n")
                    file.flush()
                yield step

    return watched()


def checkpoints(
    steps: Steps, trainer: Trainer, folder: Path, state: Callable[[], dict[str, Any]], *, every: int = 100
) -> Steps:
    """Write `checkpoint.pt`: at the first step, at each N-th, at the end, and when the consumer leaves.

    Args:
        every: Write at each N-th step; 0 only at the first and the last.

    Raises:
        Diverged: instead of writing weights that are not finite.
    """
    check("every", every, at_least=0)
    saved = trainer.index

    def save() -> None:
        nonlocal saved
        if not all(bool(parameter.isfinite().all()) for parameter in trainer.energy.parameters()):
            raise Diverged(f"diverged at step {trainer.index}: the weights are not finite; {REMEDIES}")
        if saved != trainer.index:
            write_checkpoint(folder / "checkpoint.pt", state())
            saved = trainer.index

    def watched() -> Steps:
        try:
            for step in steps:
                if step.index == 1 or (every and step.index % every == 0):
                    save()
                yield step
        except (GeneratorExit, UsageError):  # the consumer leaves, or the data turn out to be broken
            save()
            raise
        save()

    return watched()


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the file at once, so that whoever reads it never sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".checkpoint-")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def pictures(
    steps: Steps,
    trainer: Trainer,
    folder: Path,
    examples: Examples,
    iterations: int,
    *,
    every: int | None = None,
    count: int = 64,
    chains: int = 8,
) -> Steps:
    """Draw samples beside real examples, and chains from noise to image, as PNG files in the run folder.

    Args:
        every: Draw at each N-th step; none draws ten times in the run, 0 never.
        count: How many samples are drawn; points in the plane are 64 times as many.
        chains: How many chains the noise-to-image strip shows.
    """
    check("every", every or 0, at_least=0)
    check("count", count, at_least=1)
    check("chains", chains, at_least=1, at_most=count)
    period = max(1, iterations // 10) if every is None else every

    def watched() -> Steps:
        for step in steps:
            if period and drawable(examples.shape) and (step.index % period == 0 or step.index == iterations):
                draw(trainer, folder, examples, step, count, chains)
            yield step

    return watched()


def draw(trainer: Trainer, folder: Path, examples: Examples, step: Step, count: int, chains: int) -> None:
    """Write `samples/<index>.png` and `chains/<index>.png`.

    The randomness is its own and the same each time, so that drawing changes nothing and pictures can be compared.
    """
    count = count * 64 if examples.shape == (2,) else count
    rng = Generator(trainer.rng.device).manual_seed(0)
    columns = math.ceil(math.sqrt(count))
    # A bank may hold no more starts than a batch needs, so they are drawn a batch at a time.
    batch = len(step.fake)
    start = torch.cat([trainer.init.sample(min(batch, count - had), rng) for had in range(0, count, batch)])
    samples, trajectory = trace(trainer, start, rng, count if examples.shape == (2,) else chains)
    real = examples.fetch(torch.randint(len(examples), (count,), generator=Generator().manual_seed(0)))
    for name, picture in {
        "samples": beside({"real": grid(real, columns), f"samples, update {step.index}": grid(samples, columns)}),
        "chains": strip(trajectory),
    }.items():
        (folder / name).mkdir(exist_ok=True)
        picture.save(folder / name / f"{step.index:06d}.png")


def trace(trainer: Trainer, start: Tensor, rng: Generator, rows: int) -> tuple[Tensor, dict[int, Tensor]]:
    """Run the model's chain from `start` `(n, *shape)`: its end, and the first `rows` chains at five even steps."""
    energy = trainer.chain_energy(trainer.model)
    x, kept = start, [start[:rows].clone()]
    with evaluating(energy):
        for state in trainer.sampler.chain(energy, start, rng):
            x = state.x
            kept.append(x[:rows].clone())
    last = len(kept) - 1
    return x, {step: kept[step] for step in sorted({round(last * quarter / 4) for quarter in range(5)})}
