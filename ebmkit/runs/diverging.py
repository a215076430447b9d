"""What a run goes back to after a divergence, and the settings to go on with."""

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from ebmkit.errors import Notice, UsageError
from ebmkit.files import replacing, writing
from ebmkit.processes import Processes
from ebmkit.runs.checkpoint import BEFORE, NAME, Checkpoint, read_checkpoint

NEXT = "checkpoint-next.pt"
# A checkpoint is from before the turn if the run was still sound this many updates after it. Alarms go off at most 30
# updates after the turn.
SOUND = 50


def lower_rate(rate: float) -> float:
    """The learning rate to go on with after a divergence: a fifth of `rate`, and at most 1e-3, to two digits."""
    return float(f"{min(rate / 5, 1e-3):.1e}")


def stronger_penalty(penalty: Any) -> float:
    """The gradient penalty to go on with after a divergence: 1, or ten times `penalty`, the one of the run."""
    return max(1.0, 10 * penalty) if isinstance(penalty, float) else 1.0


class EarlierCheckpoints:
    """The checkpoints of a run from which it can go on after a divergence, in its folder.

    `checkpoint-before.pt` is from before the turn if the run turns now; `checkpoint-next.pt` replaces it once the run
    was sound for 50 more updates. Both are links to files that were written as `checkpoint.pt`, so that they cost no
    writing.

    Of several processes, only the first changes files.

    Args:
        folder: The folder of the run.
        index: How many updates the run has made.
        processes: The processes of the run.
    """

    def __init__(self, folder: Path, index: int, processes: Processes) -> None:
        self.folder, self.processes = folder, processes
        self.next = updates_of_next(folder) if processes.first else None
        # It cannot be read, or the run went back to before it.
        if processes.first and (self.next is None or self.next > index):
            (folder / NEXT).unlink(missing_ok=True)
            self.next = None

    def begin(self, write: Callable[[Path], None]) -> None:
        """Write the first `checkpoint-before.pt`, the state in which the run begins, if there is none."""
        if not self.processes.from_first((self.folder / BEFORE).is_file):
            write(self.folder / BEFORE)

    def keep(self, index: int) -> None:
        """Keep `checkpoint.pt`, which was written after update `index`, if it is time for another one."""
        if not self.processes.first or (self.next is not None and index - self.next < SOUND):
            return
        self.promote(index)
        link(self.folder / NAME, self.folder / NEXT)
        self.next = index

    def promote(self, index: int) -> None:
        """Make the next checkpoint the one from before the turn, if the run was sound for long enough after it."""
        if self.next is not None and index - self.next >= SOUND:
            os.replace(self.folder / NEXT, self.folder / BEFORE)
            self.next = None

    def before(self, index: int) -> Checkpoint:
        """The checkpoint from before the turn, in a run that diverged at update `index`.

        Raises:
            UsageError: if it is damaged.
        """
        with self.processes.together():
            if self.processes.first:
                self.promote(index)
                (self.folder / NEXT).unlink(missing_ok=True)
                self.next = None
        with self.processes.together():
            return read_checkpoint(self.folder, BEFORE)


def updates_of_next(folder: Path) -> int | None:
    """How many updates the run had made at `checkpoint-next.pt`; None, with a warning, if it is damaged."""
    if not (folder / NEXT).is_file():
        return None
    try:
        return read_checkpoint(folder, NEXT).updates
    except UsageError as error:
        warnings.warn(f"{error}; it is removed, and a later one will be kept", Notice, stacklevel=2)
        return None


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where the file system has no links.

    Raises:
        Unwritten: if a copy cannot be written; `target` is then as it was.
    """
    with replacing(target) as new:
        try:
            os.link(source, new)
        except OSError:
            with writing(target):
                shutil.copyfile(source, new)


def set_rate(optimizer: Optimizer, rates: Sequence[float]) -> None:
    """Set the learning rate of each group of an optimiser, which a schedule then scales."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = group["initial_lr"] = rate
