"""What `ebmkit train` shows of a run: the header, then a bar, plain lines or JSON lines."""

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ebmkit.cli.console import err, say
from ebmkit.config.sections import METHOD
from ebmkit.files import json_line
from ebmkit.interfaces import Sampler
from ebmkit.methods.update import Update
from ebmkit.pictures import drawable
from ebmkit.runs.events import rolled_back
from ebmkit.runs.run import Run
from ebmkit.runs.stability import unstable
from ebmkit.threads import busy
from ebmkit.watchers.scalars import scalars_of

SILENCE = 10.0  # seconds after which the next plain line is printed


def header(run: Run) -> None:
    """Print every part with its settings and its package, and how much work the run is."""
    recipe, train = run.recipe, run.recipe.train
    for section, part in recipe.parts.items():
        if section.startswith("watch.") or part.name == METHOD.use:
            continue
        settings = ", ".join(f"{key}={value}" for key, value in recipe.settings(section).items() if value is not None)
        if part.kind == "optimizer":
            settings = f"lr={recipe.sections[section].get('lr')}"
        say(f"{section:9} {part.name}({settings}) · {part.plugin}")
    size = run.processes.size
    parts = f", {train.batch_size // size} in each of {size} processes" if size > 1 else ""
    say(f"examples  {len(run.examples)} of shape {run.examples.shape}, {train.batch_size} in a batch{parts}")
    threads = f" ({run.threads} {'thread' if run.threads == 1 else 'threads'})" if run.device.type == "cpu" else ""
    say(f"device    {run.device}{threads}, {run.choice}, seed {train.seed}")
    if run.device.type == "cpu" and (line := busy(run.threads)):
        say(f"busy      {line}")
    if run.choice.reason:
        say(f"precision {run.choice.reason}")
    if run.origin is not None:
        origin = run.origin
        say(f"from      {origin['source']} after update {origin['update']}, weights {origin['fingerprint']}")
    samplers = {name: one for name, one in vars(run.trainer).items() if isinstance(one, Sampler)}
    growth = f" (from {train.first_steps} until update {train.full_steps_from})" if train.first_steps else ""
    lengths = [f"{one.steps} ({name})" for name, one in samplers.items() if one.steps is not None]
    length = lengths[0].partition(" ")[0] if len(samplers) == 1 and lengths else " and ".join(lengths)
    work = f"K={length} chain steps{growth} x " if lengths else ""
    start = f", from update {run.trainer.index}" if run.trainer.index else ""
    say(f"work      {work}{train.iterations} updates{start}")
    print_rollbacks(run.events[-1:])  # its rate and penalty are in force, and not those of the settings
    for reason in unstable(recipe, run.examples.shape) if not run.events else ():
        say(f"unstable  {reason}", "yellow")
    for name, sampler in samplers.items():
        temperature = sampler.implied_temperature
        if temperature is not None:
            pair = (sampler.step_size, sampler.noise)
            implied = "" if None in pair else f"step_size={pair[0]} and noise={pair[1]} imply "
            of = "" if len(samplers) == 1 else f" ({name})"
            say(f"target    {implied}exp(-E/T) at temperature T={temperature:.3g}{of}")
    if not drawable(run.examples.shape):
        say("pictures  none: examples are neither images of 1 or 3 channels nor points in the plane")


def print_rollbacks(events: Iterable[Mapping[str, Any]]) -> None:
    """Print what rollbacks changed."""
    for event in events:
        say(f"rollback  at update {event['update']}: {rolled_back(event)}")


def shown(updates: Iterator[Update], run: Run, quiet: bool, as_json: bool) -> Iterator[Update]:
    """The updates, shown on the way: as a bar on a terminal, as plain lines elsewhere, as JSON on stdout."""
    if as_json:
        updates = json_lines(updates)
    if not quiet:
        is_terminal = getattr(sys.stderr, "isatty", lambda: False)  # stderr may be None, or a stream of a notebook
        on_terminal = is_terminal() and sys.gettrace() is None
        updates = bar(updates, run) if on_terminal else lines(updates, run)
    return updates


def json_lines(updates: Iterator[Update]) -> Iterator[Update]:
    """The updates; each is printed on stdout as a JSON object."""
    with closing(updates):  # type: ignore[type-var]
        for update in updates:
            print(json_line({"schema": 2, "update": update.index, **scalars_of(update)}), flush=True)
            yield update


def bar(updates: Iterator[Update], run: Run) -> Iterator[Update]:
    """The updates, with a progress bar on stderr."""
    shown = TextColumn("{task.fields[values]}", markup=False)
    columns = (MofNCompleteColumn(), BarColumn(bar_width=24), TimeRemainingColumn(compact=True), shown)
    first, began = run.trainer.index, time.perf_counter()
    # What --json prints belongs on stdout, not above the bar.
    with (
        closing(updates),  # type: ignore[type-var]
        Progress(*columns, console=err(), refresh_per_second=4, redirect_stdout=False) as progress,
    ):
        task = progress.add_task("", total=run.recipe.train.iterations, completed=first, values="")
        for made, update in enumerate(updates, start=1):
            speed = made / (time.perf_counter() - began)
            progress.update(
                task, completed=update.index, values=f"{speed:.2f} it/s {summary(scalars_of(update), update.terms)}"
            )
            yield update


def lines(updates: Iterator[Update], run: Run) -> Iterator[Update]:
    """The updates, with `key=value` lines on stderr: for the first, the last, and one every few seconds."""
    began = time.perf_counter()
    last, total = -math.inf, run.recipe.train.iterations
    with closing(updates):  # type: ignore[type-var]
        for made, update in enumerate(updates, start=1):  # a rollback makes updates again
            now = time.perf_counter()
            if now - last >= SILENCE or update.index == total:
                last, speed = now, made / (now - began)
                eta = (total - update.index) / speed
                values = summary(scalars_of(update), update.terms)
                say(f"update={update.index}/{total} it_s={speed:.2f} eta={eta:.0f}s {values}")
            yield update


def summary(values: dict[str, float], terms: Iterable[str] = ()) -> str:
    """The values that are shown while a run trains; `terms` are the names of those that its method adds."""
    if "gap" not in values:
        return " ".join(f"{name}={value:.4g}" for name, value in values.items())
    text = f"gap={values['gap']:+.4f} E_data={values['real_energy']:+.3f} E_samples={values['fake_energy']:+.3f}"
    if "end_gradient" in values:
        text += f" gradient={values['end_gradient']:.3f}"
    if "accepted" in values:
        text += f" accepted={values['accepted']:.2f}"
    return text + "".join(f" {name}={values[name]:.4g}" for name in terms)
