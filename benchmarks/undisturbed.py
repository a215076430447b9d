"""The undisturbed run: how long its parts take, and whether another run is bitwise the same."""

import json
import tomllib
from dataclasses import dataclass
from filecmp import cmp
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from killing import Instant
from marked import Mark

from ebmkit.runs.checkpoint import NAME, read_checkpoint

PAUSED = 0.05  # seconds before and after a line of metrics, whose writing is too short to be met
DISTURBED = ("lock", "checkpoint-damaged.pt")  # the lock of a killed process, and what was found damaged


@dataclass(frozen=True)
class Course:
    """The course of an undisturbed run, by its marks.

    Attributes:
        places: The number of rollbacks and the index of every update, in their order.
        seconds: How long the start, an update, a write, a paused line of metrics, the rollback and the end take.
    """

    places: list[tuple[int, int]]
    seconds: dict[str, float]

    @classmethod
    def of(cls, began: float, marks: list[Mark], ended: float) -> "Course":
        """The course of a run whose process began and ended at these times."""
        marks = [mark for mark in marks if mark.rank == 0]
        chains = [mark for mark in marks if mark.phase == "between/chain"]
        last = next(mark for mark in marks if place(mark) == place(marks[-1]) and mark.phase == "between")
        seconds = {
            "start": chains[0].seconds - began,
            "update": (chains[-1].seconds - chains[0].seconds) / (len(chains) - 1),
            "write": duration(marks, "between/checkpoint"),
            "metrics": 2 * PAUSED,
            "rollback": duration(marks, "between/rollback"),
            "end": ended - last.seconds,
        }
        return cls([place(mark) for mark in chains], seconds)

    def begins(self, instant: Instant, mark: Mark) -> bool:
        """Whether the time from which an instant counts has come with this mark of rank 0."""
        if instant.where == "start" or not mark.phase.startswith("between"):
            return instant.where == "start"
        if instant.where == "rollback":
            return mark.phase == "between/rollback" or mark.rollbacks > 0
        if instant.where == "end":
            return self.number(mark) == len(self.places)
        here = self.number(mark) >= int(instant.run * len(self.places))
        wanted = {"update": mark.phase, "write": "between/checkpoint", "metrics": "between/metrics"}
        return here and mark.phase == wanted[instant.where]

    def number(self, mark: Mark) -> int:
        """How many updates the undisturbed run had made here, with those that were rolled back."""
        rollbacks, index = place(mark)
        # The last update, and the one that diverges, begin no other.
        return (
            self.places.index((rollbacks, index))
            if (rollbacks, index) in self.places
            else 1 + self.places.index((rollbacks, index - 1))
        )


def place(mark: Mark) -> tuple[int, int]:
    """Where in its run a process is."""
    return mark.rollbacks, mark.index


def duration(marks: list[Mark], phase: str) -> float:
    """The mean time from a mark of this phase to the mark after it that leaves the phase; 0 without such a phase."""
    times = []
    for number, (before, mark) in enumerate(pairwise(marks), start=1):
        if mark.phase == phase and not before.phase.startswith(phase):
            left = next((one for one in marks[number + 1 :] if not one.phase.startswith(phase)), None)
            times += [] if left is None else [left.seconds - mark.seconds]
    return mean(times) if times else 0.0


def differences(folder: Path, undisturbed: Path) -> list[str]:
    """What differs between a run and the undisturbed one: nothing if all is bitwise the same, times excepted."""
    found = [
        f"{name}: {part}"
        for name in sorted(name for name in files(folder) & files(undisturbed) if name.endswith(".pt"))
        for part in parts_that_differ(state(folder, name), state(undisturbed, name))
    ]
    if metrics(folder) != metrics(undisturbed):
        found.append("metrics.jsonl")
    both = sorted(files(folder) & files(undisturbed))
    found += [
        name for name in both if name.endswith(".png") and not cmp(folder / name, undisturbed / name, shallow=False)
    ]
    if files(folder) != files(undisturbed):
        found.append(f"files: {', '.join(sorted(files(folder) ^ files(undisturbed)))}")
    return found


def files(folder: Path) -> set[str]:
    """The names of all files of a run, without those that only a disturbed run has."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if name not in DISTURBED and ".new-" not in name}


def left_behind(folder: Path) -> int:
    """How many interrupted writes left files behind."""
    return len(list(folder.rglob(".new-*")))


def state(folder: Path, name: str = NAME) -> dict[str, Any]:
    """Every field of a checkpoint; the settings as values."""
    fields = dict(vars(read_checkpoint(folder, name)))
    return {**fields, "config": tomllib.loads(fields["config"])}


def parts_that_differ(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The fields in which two checkpoints differ, the trainer's by their names."""
    pairs = [({**state.pop("trainer"), **state}) for state in (dict(one), dict(other))]
    return [name for name in pairs[0] | pairs[1] if not same(pairs[0].get(name), pairs[1].get(name))]


def same(one: Any, other: Any) -> bool:
    """Whether two values are bitwise the same, tensors with their dtypes."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bits(one) == bits(other)
    if isinstance(one, float):
        return one.hex() == other.hex()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def bits(x: torch.Tensor) -> bytes:
    """The bits of a tensor."""
    return x.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metrics, without their times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds_per_update"} for line in lines]
