"""Paths that a user gave: whether something is there, and what else might have been meant."""

import unicodedata
from pathlib import Path

from ebmkit.errors import UsageError, nearest

UNZIPPED = 2**32  # bytes that one compressed file or array may become in memory


def existing(path: str | Path) -> Path:
    """`path` as a Path, `~` being the home folder; accents may be composed differently in the names on disk.

    Raises:
        UsageError: if nothing is there, with the nearest name that is.
    """
    try:
        found = _on_disk(Path(path).expanduser())
        there = found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"cannot use {str(path)!a} as a path: {error}") from None
    if not there:
        names = [entry.name for entry in found.parent.iterdir()] if found.parent.is_dir() else []
        raise UsageError(f"no such file: {path}.{nearest(found.name, names)}")
    return found


def composed(name: str) -> str:
    """A name with its accents in the composed form: macOS writes names in the decomposed one, which looks the same."""
    return unicodedata.normalize("NFC", name)


def _on_disk(path: Path) -> Path:
    """The path as it is on disk, where it differs from `path` at most in how accents are composed; else `path`."""
    if path.exists() or path.parent == path or str(path).isascii():
        return path
    parent = _on_disk(path.parent)
    there = parent.iterdir() if parent.is_dir() else ()
    return next((entry for entry in there if composed(entry.name) == composed(path.name)), path)


def existing_file(path: str | Path, expected: str) -> Path:
    """`path` as a Path, like `existing`, where it must not be a folder.

    Args:
        path: The path.
        expected: What kind of file it should be, for the message.

    Raises:
        UsageError: if nothing is there, or a folder.
    """
    found = existing(path)
    if found.is_dir():
        raise UsageError(f"{path} is a folder: expected {expected}")
    return found
