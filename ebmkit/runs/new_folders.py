"""The folder of a new run: made, or used if it is empty; of several runs that start at once, each has its own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from ebmkit.errors import UsageError
from ebmkit.runs.owner import owner_of_run


def first_free(name: str) -> Path:
    """Make the first free folder `runs/<name>-NNN`.

    Raises:
        UsageError: if it cannot be made.
    """
    for number in count(1):
        folder = Path("runs") / f"{name}-{number:03d}"
        with making(folder):
            folder.parent.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                folder.mkdir(parents=True)  # a run that was refused may just have removed `runs`
                return folder
    raise AssertionError("there is always a next number")


def create(folder: Path, first: str) -> Path:
    """Make a folder, or use one that is empty; `first` is the name of the first file, which is then made in it.

    Of two runs that start in one folder, only one can make that file.

    Raises:
        UsageError: if something is in the folder, or it cannot be made.
    """
    with making(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            refuse_existing(folder)
            (folder / first).touch(exist_ok=False)
        except FileExistsError:
            raise UsageError(existing(folder)) from None
    return folder


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a UsageError that names the folder of the run."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder} of the run: {error.strerror}") from None


def existing(folder: Path) -> str:
    """The message about a folder that exists and is not empty."""
    if owner := owner_of_run(folder):
        return f"{folder} is in use by {owner}; or choose another --out"
    return f"{folder} exists; resume it with --resume {folder}, or choose another --out"


def refuse_existing(folder: Path) -> None:
    """Refuse a folder that has something in it, or a path that the system does not accept.

    Raises:
        UsageError: in both cases.
    """
    try:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise UsageError(f"cannot use {folder} as a folder: {error.strerror}") from None
    if used:
        raise UsageError(existing(folder))


def clear(folder: Path) -> None:
    """Remove what is in a folder, as far as possible."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):
                entry.unlink()
