"""What `kill -9` does to runs: at least 200 kills at random instants, each resumed: `make chaos`.

For each kind of run, an undisturbed one is the reference. Then runs of the same settings are killed several times each,
at instants that a fixed seed draws as fractions of the run, and resumed until they are whole. After each kill the
checkpoint must be bitwise one of the undisturbed run, and at the end so must be all that the run wrote: every field of
both checkpoints, every line of the metrics except its times, and the pictures.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import machine
import torch
import typer
from kill_tables import Row, tables
from killing import Instant, Process, instants
from marked import PAUSE, STATES, TURN, Mark
from undisturbed import PAUSED, Course, differences, left_behind, parts_that_differ, state

from ebmkit.acceleration.precision import supported
from ebmkit.files import indented_json, write_text
from ebmkit.runs.checkpoint import NAME

TURNS_AT = 55  # the alarm goes off soon after, when the checkpoint of update 1 is the one from before the turn
WORDS = (
    *("--steps", "5", "--batch-size", "16", "--device", "cpu", "--iterations", "60", "--samples-every", "30", "-q"),
    *("-s", "energy.width=1024", "-s", "energy.depth=1", "-s", "train.average=0.9", "-s", "train.lr_schedule=constant"),
    *("-s", "optimizer.lr=1e-3", "-s", "train.on_divergence=rollback", "-s", "watch.checkpoints.every=1"),
)
STARTS = {
    "uniform": ("--data", "gaussians", "-s", "data.count=200"),
    "replay": ("--data", "digits", "-s", "data.limit=200", "--init", "replay", "-s", "init.size=64"),
}
PRECISIONS = {
    "fp32": ("--energy", "mlp"),
    "bf16": ("--energy", "mlp", "--precision", "bf16"),
    "bf16, emulated": ("--energy", "rounded"),
}


@dataclass(frozen=True)
class Kind:
    """The settings of a run that is killed."""

    processes: int
    start: str
    precision: str
    rollback: bool

    @property
    def words(self) -> tuple[str, ...]:
        """The command line without the folder."""
        return (*WORDS, *STARTS[self.start], *PRECISIONS[self.precision])

    @property
    def environment(self) -> dict[str, str]:
        """What plants the divergence."""
        return {TURN: str(TURNS_AT)} if self.rollback else {}


class Reference:
    """The undisturbed run of a kind, in a folder with every state that it went through.

    Args:
        kind: Its settings.
        place: Where its folder `run` is made; what the processes print is beside it.
        start: The seconds that a start takes; None starts Python here to measure them.
    """

    def __init__(self, kind: Kind, place: Path, start: float | None) -> None:
        self.kind, self.place = kind, place
        (place / "states").mkdir(parents=True)
        kept = {STATES: str(place / "states"), **kind.environment}
        process = Process(("train", *kind.words, "--out", "run"), kind.processes, place, kept, start is None)
        if process.wait() != 0:
            raise RuntimeError(f"the undisturbed run failed: {process.said}")
        self.course = Course.of(process.began, process.marks, time.monotonic())
        self.course.seconds["start"] = start or self.course.seconds["start"]

    def shares_state(self, folder: Path) -> bool:
        """Whether the checkpoint in a folder is bitwise that of the undisturbed run after the same update."""
        found = state(folder)
        name = f"{len(found['events'])}-{found['trainer']['index']}.pt"
        states = self.place / "states"
        return (states / name).exists() and not parts_that_differ(found, state(states, name))


def killed_run(reference: Reference, planned: Sequence[Instant], place: Path) -> list[Row]:
    """Kill one run at these instants, each time resumed, and resume it to its end; a row for each kill."""
    kind, rows = reference.kind, []
    place.mkdir()
    for instant in planned:
        fresh = instant.where == "start"
        pause = {PAUSE: str(PAUSED)} if instant.where == "metrics" else {}
        process = Process(words(kind, place), kind.processes, place, kind.environment | pause, fresh)
        if process.first(lambda mark, at=instant: reference.course.begins(at, mark)) is not None:
            time.sleep(instant.within * reference.course.seconds[instant.where])
        mark = process.kill(instant.victim)
        if mark is None:  # it had ended before
            if not process.whole:
                rows.append({**asdict(instant), "phase": "failed", "said": process.said})
            break
        begun = (place / "run" / NAME).exists()
        same = reference.shares_state(place / "run") if begun else None
        rows.append({**asdict(instant), "phase": phase_of(mark, reference), "update": mark.index, "state": same})
    process = Process(words(kind, place), kind.processes, place, kind.environment, fresh=False)
    process.wait()
    found = differences(place / "run", reference.place / "run") if process.whole else [process.said]
    left = left_behind(place / "run")
    return [{**asdict(kind), **row, "differences": found, "left behind": left} for row in rows]


def words(kind: Kind, place: Path) -> tuple[str, ...]:
    """The command that begins or resumes the run; without any checkpoint there is nothing to resume."""
    if list((place / "run").glob("checkpoint*.pt")):
        return ("train", "--resume", "run", "-q")
    shutil.rmtree(place / "run", ignore_errors=True)
    return ("train", *kind.words, "--out", "run")


def phase_of(mark: Mark, reference: Reference) -> str:
    """The phase in which a process was killed, as in the table."""
    first, *inner = mark.phase.split("/")
    if first == "starting":
        return "folder" if inner[:1] == ["folder"] else "starting"
    if "rollback" in inner:
        return "rollback"
    if not inner and reference.course.number(mark) == len(reference.course.places):
        return "end"
    return inner[-1] if inner else "between"


def main(
    kills: Annotated[int, typer.Option(min=1, help="How many processes are killed at least.")] = 200,
    processes: Annotated[str, typer.Option(help="Numbers of processes of a run.")] = "1,2",
    rollbacks: Annotated[str, typer.Option(help="Whether runs diverge and are rolled back: no, yes.")] = "no,yes",
    per_run: Annotated[int, typer.Option(min=1, help="Kills of one run.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of the instants.")] = 0,
    out: Annotated[Path, typer.Option("--json", help="File for the results; the tables are beside it.")] = Path(
        "chaos.json"
    ),
) -> None:
    """Kill, resume and compare; write and print the tables. The exit code is 1 if anything differed."""
    kinds = [
        Kind(int(count), start, precision, rollback == "yes")
        for (start, precision), rollback, count in product(pairs(), rollbacks.split(","), processes.split(","))
    ]
    rows: list[Row] = []
    begin: dict[int, float] = {}  # seconds, by the number of processes
    for number, kind in enumerate(kinds, start=1):
        with tempfile.TemporaryDirectory(prefix="ebmkit-chaos-") as folder:
            reference, run = Reference(kind, Path(folder) / "undisturbed", begin.get(kind.processes)), 0
            begin[kind.processes] = reference.course.seconds["start"]
            while len(rows) < kills * number / len(kinds):
                rng = random.Random(f"{seed} {kind} {run}")
                planned = instants(rng, per_run, rollback=kind.rollback, processes=kind.processes)
                rows += killed_run(reference, planned, Path(folder) / f"killed-{run}")
                shutil.rmtree(Path(folder) / f"killed-{run}")
                run += 1
                differ = sum(bool(row["differences"]) for row in rows)
                typer.echo(f"{kind}: {len(rows)} kills, {differ} differ", err=True)
                save(rows, out)
    for table in tables(rows):
        typer.echo(table.markdown())
    raise typer.Exit(int(any(row["differences"] or row.get("state") is False for row in rows)))


def pairs() -> tuple[tuple[str, str], ...]:
    """Where chains start, with a precision; bf16 is emulated, and also computed by units if this CPU has them."""
    units = [("uniform", "bf16")] if "bf16" in supported(torch.device("cpu")) else []
    return (("uniform", "fp32"), *units, ("replay", "fp32"), ("replay", "bf16, emulated"))


def save(rows: list[Row], out: Path) -> None:
    """Write the kills as JSON, and the tables as Markdown beside it."""
    write_text(out, indented_json({"machine": machine.facts(torch.device("cpu")), "kills": rows}))
    write_text(out.with_suffix(".md"), "\n".join(table.markdown() for table in tables(rows)))


if __name__ == "__main__":
    typer.run(main)
