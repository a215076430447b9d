"""Which checkpoint of a run is read: the newest, or the one before it if the newest is damaged or missing."""

import os
import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

from ebmkit.errors import Notice, UsageError
from ebmkit.evaluation.training_curves import last_update
from ebmkit.files import stamp, writing
from ebmkit.runs.checkpoint import BEFORE, NAME, PREVIOUS, Checkpoint, Damaged, read_checkpoint

DAMAGED = "checkpoint-damaged.pt"


class Opened(NamedTuple):
    """A checkpoint that was read.

    Attributes:
        name: The name of its file in the folder of the run.
        checkpoint: What it holds.
        newest: The stamp of `checkpoint.pt` when it was read.
    """

    name: str
    checkpoint: Checkpoint
    newest: tuple[int, int] | None


def is_saved(folder: Path) -> bool:
    """Whether a run has saved an update."""
    return any((folder / name).is_file() for name in (NAME, PREVIOUS))


def read_newest(folder: Path) -> Opened:
    """The newest checkpoint of a run; if it is damaged or missing, the one before, with a warning.

    Raises:
        Damaged: if neither can be read.
        UsageError: if the newest is of another format.
    """
    newest = stamp(folder / NAME)
    try:
        return Opened(NAME, read_checkpoint(folder), newest)
    except Damaged as error:
        if not (folder / PREVIOUS).is_file():
            raise
        reason = error
    try:
        before = read_checkpoint(folder, PREVIOUS)
    except UsageError as error:
        raise Damaged(f"{reason}; nor can the one before: {error}; {use_earlier(folder)}") from None
    last = last_update(folder)
    count = last - before.updates
    warnings.warn(
        f"{reason}; {folder / PREVIOUS} is used, of update {before.updates}, without {in_words(count)}",
        Notice,
        stacklevel=2,
    )
    return Opened(PREVIOUS, before, newest)


def in_words(lost: int) -> str:
    """The updates that a checkpoint lacks, of which there are this many; their number is unknown if it is below 1."""
    return "the updates after it" if lost < 1 else "the last update" if lost == 1 else f"the last {lost} updates"


def read_to_resume(folder: Path, diverged: bool) -> Opened:
    """The checkpoint that a run is resumed from.

    That is the one from before the turn, if the run `diverged` or has not saved an update yet; else the newest.

    Raises:
        Damaged: if it cannot be read, nor the one before the newest.
        UsageError: if it is of another format.
    """
    if not (folder / BEFORE).is_file() or (is_saved(folder) and not diverged):
        return read_newest(folder)
    try:
        return Opened(BEFORE, read_checkpoint(folder, BEFORE), stamp(folder / NAME))
    except Damaged as error:
        if not is_saved(folder):
            raise
        raise Damaged(f"{error}; remove it to resume from {folder / NAME}, which may be from after the turn") from None


def use_earlier(folder: Path) -> str:
    """What to do where both checkpoints are damaged."""
    if (folder / BEFORE).is_file():
        return f"an earlier one may be whole: ebmkit train --from {folder / BEFORE}"
    return "restore one of them from a backup"


def make_newest(opened: Opened, now: Checkpoint, folder: Path) -> None:
    """Make the state of a resumed run its newest checkpoint, if it was restored from another file.

    A damaged `checkpoint.pt` is kept as `checkpoint-damaged.pt`.

    Args:
        opened: What the run was restored from.
        now: Its state, with the settings that it is resumed with.
        folder: Its folder, which no other process writes to.

    Raises:
        UsageError: if another process has trained the run since it was opened.
        Unwritten: if the checkpoint cannot be written.
    """
    path = folder / NAME
    if stamp(path) != opened.newest:
        raise UsageError(f"another process has written {path} since this run was opened; resume it again")
    for unfinished in folder.glob(".new-*/checkpoint*.pt"):  # of a process that was killed while it wrote
        shutil.rmtree(unfinished.parent, ignore_errors=True)
    if opened.name == NAME:
        return
    if opened.name == PREVIOUS and path.exists():
        with writing(folder / DAMAGED):
            os.replace(path, folder / DAMAGED)
    write_twice(now, folder)


def write_twice(now: Checkpoint, folder: Path) -> None:
    """Write a state to which a run went back, as the newest checkpoint and as the one before.

    The checkpoint that was the newest is of updates that are no longer those of the run.

    Raises:
        Unwritten: if it cannot be written.
    """
    now.write(folder)
    now.write(folder)
