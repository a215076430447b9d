"""Files that are replaced as a whole, and JSON that any reader takes."""

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
    """A path to write to, which takes the place of `path` when the block ends: nobody ever reads half of a file.

    The folder of `path` is made if it is missing. After an exception `path` is as it was, and nothing else is left.
    """
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-", ignore_cleanup_errors=True) as beside:
        new = Path(beside) / path.name
        yield new
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(new, 0o666 & ~mask)  # some writers make files that only their owner can read
        os.replace(new, path)


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text, in UTF-8."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def json_line(values: Mapping[str, Any]) -> str:
    """Values as one line of JSON, which has no word for NaN and infinities: they become null."""
    strict = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }
    return json.dumps(strict, allow_nan=False)


def indented_json(table: Mapping[str, Any]) -> str:
    """A table as JSON for people."""
    return json.dumps(table, indent=2) + "\n"
