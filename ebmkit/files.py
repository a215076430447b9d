"""Files that are replaced as a whole, and JSON that every parser accepts."""

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; the file written there replaces `path` when the block ends, so no reader sees half a file.

    The folder of `path` is made if it is missing. After an exception `path` is as it was, and nothing else is left.
    """
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-", ignore_cleanup_errors=True) as beside:
        new, usual = Path(beside) / path.name, Path(beside) / ".mode"
        yield new
        usual.touch()
        os.chmod(new, usual.stat().st_mode & 0o777)  # some writers make files that only their owner can read
        os.replace(new, path)


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text, in UTF-8."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def json_line(values: Mapping[str, Any]) -> str:
    """Values as one line of JSON; NaN and infinities, which JSON cannot express, become null."""
    strict = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }
    return json.dumps(strict, allow_nan=False)


def indented_json(table: Mapping[str, Any]) -> str:
    """A table as indented JSON, which ends with a line break."""
    return json.dumps(table, indent=2) + "\n"
