"""Files that are replaced as a whole, JSON that every parser accepts, and JSON of any origin."""

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class Unwritten(OSError):
    """A file could not be written, as on a full disk: `filename` says which, and `strerror` why."""

    def __str__(self) -> str:
        return f"cannot write {self.filename}: {self.strerror}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, which writes to `path`, into one that names this file.

    Raises:
        Unwritten: for any OSError.
    """
    try:
        yield
    except OSError as error:
        raise Unwritten(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; the file written there replaces `path` when the block ends, so no reader sees half a file.

    The folder of `path` is made if it is missing. After an exception `path` is as it was, and nothing else is left.

    Raises:
        Unwritten: if the folder or the file cannot be made. Errors of the block are passed on as they are.
    """
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-", ignore_cleanup_errors=True)
    with folder as beside:
        new, usual = Path(beside) / path.name, Path(beside) / ".mode"
        yield new
        with writing(path):
            with suppress(OSError):  # not every disk has permissions, or room for one more file
                usual.touch()
                os.chmod(new, usual.stat().st_mode & 0o777)  # some writers make files that only their owner can read
            os.replace(new, path)


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text, in UTF-8.

    Raises:
        Unwritten: if it cannot be written.
    """
    with replacing(path) as new, writing(path):
        new.write_text(text, encoding="utf-8")


def stamp(path: Path) -> tuple[int, int] | None:
    """What differs between a file and one that has replaced it; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def json_line(values: Mapping[str, Any]) -> str:
    """Values as one line of JSON; NaN and infinities, which JSON cannot express, become null."""
    strict = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }
    return json.dumps(strict, allow_nan=False)


def json_of(text: str | bytes) -> Any:
    """The value of a text of JSON.

    Raises:
        ValueError: if it is not JSON, or is nested by the thousand, for which `json.loads` raises a RecursionError.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def indented_json(table: Mapping[str, Any]) -> str:
    """A table as indented JSON, which ends with a line break."""
    return json.dumps(table, indent=2) + "\n"
