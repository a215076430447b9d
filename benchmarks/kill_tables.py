"""The kills of `make chaos` as tables: by what the process did, by which was killed, and by kind of run."""

from collections.abc import Callable
from typing import Any

from tables import Table

Row = dict[str, Any]  # one kill: the kind of run, the instant, the phase, and what was found
PHASES = {
    "starting": "starting",
    "folder": "making or preparing the folder",
    "chain": "in a chain",
    "gradient": "in an update of the weights",
    "checkpoint": "writing a checkpoint",
    "metrics": "writing metrics",
    "rollback": "in a rollback",
    "between": "between these",
    "end": "after the last update",
}


def tables(rows: list[Row]) -> list[Table]:
    """The kills by phase, and by kind of run."""
    by_phase = [[PHASES.get(phase, phase), *counts(rows, lambda row, p=phase: row["phase"] == p)] for phase in PHASES]
    failed = [row for row in rows if row["phase"] == "failed"]
    by_kind = []
    for kind in dict.fromkeys((r["processes"], r["start"], r["precision"], r["rollback"]) for r in rows):
        chosen = [row for row in rows if (row["processes"], row["start"], row["precision"], row["rollback"]) == kind]
        cells = [str(kind[0]), kind[1], kind[2], "yes" if kind[3] else "no"]
        by_kind.append([*cells, *counts(chosen, lambda row: True)])
    columns = ["kills", "without a checkpoint yet", "checkpoint bitwise", "result bitwise"]
    notes = [f"Failed by itself: {row['said']}" for row in failed]
    if left := max((row["left behind"] for row in rows), default=0):
        notes.append(f"After interrupted writes at most {left} temporary folders were left in a run.")
    found = [Table("Where processes were killed", ["phase", *columns], [*by_phase, ["all", *counts(rows)]], notes)]
    victims = [
        [one, *counts(rows, lambda row, v=one: row["processes"] > 1 and row["victim"] == v)]
        for one in ("rank 0", "rank 1", "all")
    ]
    if any(row["processes"] > 1 for row in rows):
        found.append(Table("Which of two processes were killed", ["killed", *columns], victims))
    return [*found, Table("Kinds of runs", ["processes", "start", "precision", "rolled back", *columns], by_kind)]


def counts(rows: list[Row], chosen: Callable[[Row], bool] = lambda row: True) -> list[str]:
    """Kills, those before the first checkpoint, bitwise checkpoints and bitwise results of some rows."""
    some = [row for row in rows if chosen(row) and row["phase"] != "failed"]
    early = sum(row["state"] is None for row in some)
    equal = sum(row["state"] is True for row in some)
    results = sum(not row["differences"] for row in some)
    return [str(len(some)), str(early), f"{equal} of {len(some) - early}", f"{results} of {len(some)}"]
