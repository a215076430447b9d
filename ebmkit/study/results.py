"""The results of cells: `results/NAME.json`, its only writer and its only reader."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ebmkit.errors import UsageError
from ebmkit.files import indented_json, write_text

Status = Literal["done", "diverged", "failed"]


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
        values = json.loads(path.read_text(encoding="utf-8"))
        found = Result(**{**values, "measures": tuple(values["measures"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(f"cannot use {path}; remove it, and the cell is evaluated again") from None
    return found
