"""Which process trains a run: one at a time, by a locked file in its folder. Readers are never refused."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ebmkit.claims import NoLocks, claim, holder, own_name
from ebmkit.errors import Notice, UsageError

LOCK = "lock"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keep other processes from training in the folder of a run, for as long as the block lasts.

    Where files cannot be locked, the run goes on with a warning.

    Raises:
        UsageError: if another process trains there; it is named.
        Unwritten: if the lock cannot be written, as in a folder that is read-only.
    """
    with ExitStack() as stack:
        try:
            # Absolute, for the program may change its folder while it trains.
            owner = stack.enter_context(claim((folder / LOCK).absolute()))
        except NoLocks as error:
            owner = ""
            warnings.warn(
                f"{error}; without them nothing keeps a second process from training in {folder}", Notice, stacklevel=2
            )
        if owner:
            raise UsageError(f"{folder} is in use by {in_words(owner)}")
        yield


def owner_of_run(folder: Path) -> str:
    """Which process trains in a folder, and what to do; empty if none is known to."""
    owner = holder(folder / LOCK)
    return in_words(owner) if owner else ""


def in_words(owner: str) -> str:
    """An owner as `claim` gives it, with what to do."""
    if owner == own_name():
        return "this process: finish or close the updates of its run first"
    return owner if "; " in owner else f"{owner}: wait for its end, or stop it"
