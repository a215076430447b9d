"""Paths that a user gave: whether something is there, and what else might have been meant."""

from pathlib import Path

from ebmkit.errors import UsageError, nearest


def existing(path: str | Path) -> Path:
    """`path` as a Path, `~` being the home folder.

    Raises:
        UsageError: if nothing is there, with the nearest name that is.
    """
    try:
        found = Path(path).expanduser()
        there = found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"cannot use {str(path)!a} as a path: {error}") from None
    if not there:
        names = [entry.name for entry in found.parent.iterdir()] if found.parent.is_dir() else []
        raise UsageError(f"no such file: {path}.{nearest(found.name, names)}")
    return found


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
