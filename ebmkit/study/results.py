"""The results of cells: `results/NAME.json`, its only writer and its only reader."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ebmkit.errors import UsageError
from ebmkit.files import indented_json, json_of, write_text

Status = Literal["done", "diverged", "failed"]
VALUES = ("value", "real_against_real", "noise_against_real")  # of a measure; one that could not be taken has none


@dataclass(frozen=True)
class Result:
    """How a cell ended.

    Attributes:
        cell: Its name.
        status: `done`; `diverged`, which is a result too; or `failed`, by an error, and then the cell is tried again
            when the study is started again.
        updates: How many updates it made; where it diverged, the update at which that was seen.
        passes: Passes of the network in these updates.
        seconds: What these updates took, including watchers.
        evaluation_seconds: What the evaluation took.
        measures: The measures as in `evaluation.json`; empty unless it is done.
        error: The message about the divergence or the failure, in one line.
        trace: The traceback of an unexpected failure.
    """

    cell: str
    status: Status
    updates: int
    passes: int
    seconds: float
    evaluation_seconds: float = 0.0
    measures: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    trace: str = ""

    @property
    def final(self) -> bool:
        """Whether the cell needs no further work."""
        return self.status != "failed"


def result_path(folder: Path, name: str) -> Path:
    """The file of a result in the folder of a study."""
    return folder / "results" / f"{name}.json"


def write_result(folder: Path, result: Result) -> None:
    """Write the result of a cell."""
    write_text(result_path(folder, result.cell), indented_json(asdict(result)))


def read_result(folder: Path, name: str) -> Result | None:
    """The result of a cell; None if it has none.

    Raises:
        UsageError: if the file is not what `write_result` writes.
    """
    path = result_path(folder, name)
    try:
        values = json_of(path.read_text(encoding="utf-8"))
        found = Result(**{**values, "measures": tuple(values["measures"])})
        if not is_plausible(found):
            raise ValueError("a field of another type")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(f"cannot use {path}; remove it, and the cell is evaluated again") from None
    return found


def is_plausible(result: Result) -> bool:
    """Whether the fields of a result that was read are of the types that tables are made of."""
    counts, seconds = (result.updates, result.passes), (result.seconds, result.evaluation_seconds)
    return (
        result.status in get_args(Status)
        and all(isinstance(text, str) for text in (result.cell, result.error, result.trace))
        and all(isinstance(count, int) and is_number(count) for count in counts)
        and all(map(is_number, seconds))
        and all(map(is_measure, result.measures))
    )


def is_measure(one: object) -> bool:
    """Whether this is a measure as an evaluation writes it."""
    return (
        isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("note"), str)
        and all(name in one for name in VALUES)
        and all(one[name] is None or is_number(one[name]) for name in VALUES)
    )


def is_number(value: object) -> bool:
    """Whether this is a finite number that a float can hold."""
    return isinstance(value, int | float) and -sys.float_info.max <= value <= sys.float_info.max
