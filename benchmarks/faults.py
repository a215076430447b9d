"""Faults that are planted in runs, what a user sees of each, and whether anything is lost: `make faults`.

Each fault is planted in a run of its own, after update 22 of 40, with a checkpoint at every fifth. When it is over the
run is resumed until it is whole, and compared with an undisturbed run as in `chaos.py`.
"""

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import machine
import planting
import torch
import typer
from disks import small_disk
from marked import TURN
from planting import Case
from tables import Table
from undisturbed import differences, left_behind

from ebmkit.files import indented_json, write_text

WORDS = (
    *("--energy", "mlp", "-s", "energy.width=128", "--data", "gaussians", "-s", "data.count=200", "--steps", "5"),
    *("--batch-size", "16", "--device", "cpu", "--iterations", "40", "--samples-every", "20"),
    *("-s", "train.average=0.9", "-s", "train.lr_schedule=constant", "-s", "optimizer.lr=1e-3"),
    *("-s", "watch.checkpoints.every=5", "-s", "train.on_divergence=rollback"),
)
TIMEOUT = 60  # seconds that one of two processes waits for the other
FAILED, REFUSED, INTERRUPTED = 1, 2, 130  # exit codes


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: What happens.
        plant: How it is planted.
        code: The exit code that the user must see.
        processes: How many processes the run has.
        turn: After which update the run diverges; None is never.
    """

    name: str
    plant: Callable[[Case], None]
    code: int = 0
    processes: int = 1
    turn: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The options that begin the run."""
        return (*WORDS, "-s", f"train.rank_timeout={TIMEOUT}") if self.processes > 1 else WORDS


FAULTS = (
    Fault("none", planting.undisturbed),
    Fault("full disk", planting.full_disk, FAILED),
    Fault("full disk when the run is resumed", planting.full_disk_at_resume, FAILED),
    Fault("read-only folder when the run is resumed", planting.read_only, FAILED),
    Fault("last line of the metrics cut off", planting.torn_metrics),
    Fault("resumed while it is at work", planting.two_writers, REFUSED),
    Fault("another run begun in its folder", planting.two_beginners, REFUSED),
    Fault("SIGTERM", planting.signalled(signal.SIGTERM), INTERRUPTED),
    Fault("SIGHUP", planting.signalled(signal.SIGHUP), INTERRUPTED),
    Fault("SIGINT", planting.signalled(signal.SIGINT), INTERRUPTED),
    Fault("SIGINT, then SIGTERM", planting.signalled(signal.SIGINT, signal.SIGTERM), INTERRUPTED),
    Fault("newest checkpoint: one bit flipped", planting.damaged(planting.flipped)),
    Fault("newest checkpoint: half of it missing", planting.damaged(lambda content: content[: len(content) // 2])),
    Fault("newest checkpoint: a block of zeros", planting.damaged(planting.zeros)),
    Fault("newest checkpoint: empty", planting.damaged(lambda content: b"")),
    Fault("killed in a rollback", planting.killed_in_rollback, turn=25),
    Fault("full disk, 2 processes", planting.full_disk, FAILED, processes=2),
    Fault("one of 2 processes killed", planting.dead_rank, FAILED, processes=2),
    Fault("one of 2 processes hangs", planting.hung_rank, FAILED, processes=2),
    Fault("SIGTERM to one of 2 processes", planting.signalled_rank, INTERRUPTED, processes=2),
)


def result_of(fault: Fault, reference: Path | None, keep: Path | None = None) -> dict[str, Any]:
    """Plant a fault, resume the run until it is whole, and compare it with the undisturbed one.

    Args:
        fault: The fault.
        reference: The folder of the undisturbed run.
        keep: Where the folder of the run is moved to, if anywhere.
    """
    environment = {TURN: str(fault.turn)} if fault.turn else {}
    with small_disk() as (place, mounted):
        case = Case(place, mounted, fault.words, environment, fault.processes)
        fault.plant(case)
        last = case.train()
        last.wait()
        row: dict[str, Any] = {
            "fault": fault.name,
            "seen": case.seen,
            "expected": fault.code,
            "whole": last.whole,
            "said": last.lines(),
        }
        if last.whole and reference is not None:
            row["differences"] = differences(place / "run", reference)
            row["left behind"] = left_behind(place / "run")
        if keep is not None:
            subprocess.run(["cp", "-r", str(place / "run"), str(keep)], check=True)
        return row


def table(rows: list[dict[str, Any]]) -> Table:
    """A row for each fault."""
    cells = [[row["fault"], *seen(row), outcome(row)] for row in rows]
    return Table("Planted faults", ["fault", "what the user sees", "exit code", "it ended after", "resumed"], cells)


def seen(row: dict[str, Any]) -> list[str]:
    """The lines on stderr, the exit code, and how long the process took to end."""
    lines, code, seconds = row["seen"]
    expected = "" if code == row["expected"] else f", not {row['expected']}"
    return [" ".join(f"`{line}`" for line in lines) or "nothing", f"{code}{expected}", f"{seconds:.1f} s"]


def outcome(row: dict[str, Any]) -> str:
    """Whether the run became whole, and bitwise the undisturbed one."""
    if not row["whole"]:
        return f"not whole: `{row['said'][-1]}`"
    return f"differs: {'; '.join(row['differences'])}" if row["differences"] else "bitwise the undisturbed run"


def main(
    only: Annotated[str, typer.Option(help="A word in the names of the faults to plant; all by default.")] = "",
    processes: Annotated[int, typer.Option(help="The largest number of processes.")] = 2,
    out: Annotated[Path, typer.Option("--json", help="File for the results; the table is beside it.")] = Path(
        "faults.json"
    ),
) -> None:
    """Plant every fault; write and print the table. The exit code is 1 if anything was lost, or is not as expected."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="ebmkit-faults-") as folder:
        for fault in FAULTS:
            if only not in fault.name or fault.processes > processes:
                continue
            reference = Path(folder) / f"{fault.processes}-{fault.turn}"
            if not reference.exists():
                result_of(
                    Fault("none", planting.undisturbed, processes=fault.processes, turn=fault.turn), None, reference
                )
            rows.append(result_of(fault, reference))
            typer.echo(json.dumps(rows[-1]), err=True)
            write_text(out, indented_json({"machine": machine.facts(torch.device("cpu")), "faults": rows}))
            write_text(out.with_suffix(".md"), table(rows).markdown())
    typer.echo(table(rows).markdown())
    lost = [row for row in rows if not row["whole"] or row["differences"] or row["seen"][1] != row["expected"]]
    raise typer.Exit(int(bool(lost)))


if __name__ == "__main__":
    typer.run(main)
