"""What a person sees of a run: the header, the moving line, the plain lines, and the dry run's figures."""

import json
import math
import sys
import time
from collections.abc import Generator, Iterator
from typing import cast

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from ebmkit.cli.console import err, say
from ebmkit.data.examples import batches
from ebmkit.interfaces import EnergyFn, value_and_grad
from ebmkit.machine import occupy
from ebmkit.pictures import drawable
from ebmkit.run import Run
from ebmkit.training import Step
from ebmkit.watch import json_line, measures

SILENCE = 10.0  # seconds after which a plain line is due


def header(run: Run) -> None:
    """Every part with its provenance, and what the run will cost."""
    recipe, train, sampler = run.recipe, run.train, run.trainer.sampler
    for section in ("energy", "sampler", "init", "data", "optimizer"):
        part = recipe.parts[section]
        settings = ", ".join(f"{key}={value}" for key, value in recipe.settings(section).items() if value is not None)
        if section == "optimizer":
            settings = f"lr={recipe.sections[section].get('lr')}"
        say(f"{section:9} {part.name}({settings}) · {part.plugin}")
    say(f"examples  {len(run.examples)} of shape {run.examples.shape}, {train.batch_size} in a batch")
    device = run.trainer.rng.device
    threads = f" ({run.threads} {'thread' if run.threads == 1 else 'threads'})" if device.type == "cpu" else ""
    say(f"device    {device}{threads}, {run.choice}, seed {train.seed}")
    if run.choice.reason:
        say(f"precision {run.choice.reason}")
    steps = getattr(sampler, "steps", None)
    cost = f"K={steps} chain steps x {train.iterations} updates" if steps else f"{train.iterations} updates"
    say(f"work      {cost}{f', from update {run.trainer.index}' if run.trainer.index else ''}")
    temperature = getattr(sampler, "temperature", None)
    if temperature is not None:
        pair = [f"{key}={getattr(sampler, key)}" for key in ("step_size", "noise") if hasattr(sampler, key)]
        implied = f"{' and '.join(pair)} imply " if len(pair) == 2 else ""
        say(f"target    {implied}exp(-E/T) at temperature T={temperature:.3g}")
    if not drawable(run.examples.shape):
        say("pictures  none: examples are neither images of 1 or 3 channels nor points in the plane")


def shown(steps: Iterator[Step], run: Run, quiet: bool, as_json: bool) -> Iterator[Step]:
    """The steps, each told to whoever watches: a bar on a terminal, plain lines elsewhere, JSON on stdout."""
    if as_json:
        steps = spoken(steps)
    if quiet:
        return steps
    return bar(steps, run) if sys.stderr.isatty() and sys.gettrace() is None else lines(steps, run)


def spoken(steps: Iterator[Step]) -> Iterator[Step]:
    """A JSON object on stdout for each step."""
    for step in steps:
        print(json_line({"schema": 1, "step": step.index, **measures(step)}), flush=True)
        yield step


def bar(steps: Iterator[Step], run: Run) -> Iterator[Step]:
    """A moving line on stderr."""
    figures = TextColumn("{task.fields[figures]}", markup=False)
    columns = (MofNCompleteColumn(), BarColumn(bar_width=24), TimeRemainingColumn(compact=True), figures)
    first, began = run.trainer.index, time.perf_counter()
    # What --json prints belongs on stdout, not above the bar.
    with Progress(*columns, console=err(), refresh_per_second=4, redirect_stdout=False) as progress:
        task = progress.add_task("", total=run.train.iterations, completed=first, figures="")
        for step in steps:
            speed = (step.index - first) / (time.perf_counter() - began)
            progress.update(task, completed=step.index, figures=f"{speed:.2f} it/s {told(measures(step))}")
            yield step


def lines(steps: Iterator[Step], run: Run) -> Iterator[Step]:
    """Plain `key=value` lines on stderr: the first step, the last, and one every few seconds."""
    first, began = run.trainer.index, time.perf_counter()
    last, total = -math.inf, run.train.iterations
    for step in steps:
        now = time.perf_counter()
        if now - last >= SILENCE or step.index == total:
            last, speed = now, (step.index - first) / (now - began)
            eta = (total - step.index) / speed
            say(f"step={step.index}/{total} it_s={speed:.2f} eta={eta:.0f}s {told(measures(step))}")
        yield step


def told(figures: dict[str, float]) -> str:
    """The figures that a person follows."""
    text = f"gap={figures['gap']:+.4f} E_data={figures['real_energy']:+.3f} E_samples={figures['fake_energy']:+.3f}"
    if "end_gradient" in figures:
        text += f" gradient={figures['end_gradient']:.3f}"
    return text + (f" accepted={figures['accepted']:.2f}" if "accepted" in figures else "")


class Counting:
    """An energy that counts the passes through it."""

    def __init__(self, energy: EnergyFn) -> None:
        self.energy, self.passes = energy, 0

    def __call__(self, x: Tensor) -> Tensor:
        """The energy itself."""
        self.passes += 1
        return self.energy(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Energy and gradient, one forward and one backward pass."""
        self.passes += 1
        return value_and_grad(self.energy, x)


def dry(run: Run, quiet: bool, as_json: bool) -> None:
    """Build all, make one update and print on stdout what the run would cost; nothing is written."""
    cast(Generator[Step], run.steps(say)).close()  # the watchers too are built, and their settings checked
    if not quiet:
        header(run)
    occupy(run.threads)
    trainer = run.trainer
    counting = Counting(trainer.energy)
    inner = trainer.accelerate

    def accelerate(energy: nn.Module) -> EnergyFn:
        counting.energy = inner(energy) if inner is not None else energy
        return counting

    trainer.accelerate = accelerate
    batch = next(batches(run.examples, run.train.batch_size, run.batch_rng, device=trainer.rng.device))
    left, began = run.train.iterations - trainer.index, time.perf_counter()
    trainer.step(batch)
    if trainer.rng.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    figures = {
        "parameters": sum(parameter.numel() for parameter in trainer.energy.parameters()),
        "network_passes_per_update": counting.passes + 2,
        "network_passes_in_the_chain": counting.passes,
        "seconds_per_update": round(seconds, 3),
        "updates": left,
        "estimated_total_seconds": round(seconds * left),
    }
    if not quiet:
        say("dry run   one update made, the first, which is the slowest; nothing written")
    if as_json:
        print(json.dumps({"schema": 1, **figures}))
    else:
        print("\n".join(f"{key}={value}" for key, value in figures.items()))
