"""Causes of a divergence that tests plant at an update, and pictures of a folder as `kill -9` would leave it."""

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ebmkit.methods.maximum_likelihood import Trainer, Update


def plant(updates: Iterator[Update], trainer: Trainer, *, cause: str = "weights", at: int = 11) -> Iterator[Update]:
    """Spoil a training at an update, unless it was rolled back to a learning rate below 6e-4.

    Args:
        cause: `weights`: one is infinite; `batch`: one is NaN; `rate`: it is 100 times higher for 5 updates.
        at: The update.
    """
    update, groups = trainer.update, trainer.optimizer.param_groups

    def spoiled(batch: torch.Tensor) -> Update:
        index = trainer.index + 1
        if groups[0]["initial_lr"] < 6e-4 or not at <= index < at + (5 if cause == "rate" else 1):
            return update(batch)
        if cause == "weights":
            with torch.no_grad():
                next(iter(trainer.energy.parameters())).fill_(math.inf)
        if cause != "rate":
            return update(torch.full_like(batch, math.nan) if cause == "batch" else batch)
        usual = [group["initial_lr"] for group in groups]
        for group in groups:
            group["initial_lr"] *= 100
        try:
            return update(batch)
        finally:
            for group, rate in zip(groups, usual, strict=True):
                group["initial_lr"] = rate

    trainer.update = spoiled  # type: ignore[method-assign]
    try:
        yield from updates
    finally:
        trainer.update = update  # type: ignore[method-assign]


class Pictures:
    """Copies of a folder, each as a process that is killed at that instant leaves it; equal ones are kept once.

    Args:
        folder: The folder; it may not exist yet.
        into: Where its copies are put.
    """

    def __init__(self, folder: Path, into: Path) -> None:
        self.folder, self.into, self.seen = folder, into, set()

    def take(self) -> None:
        """Copy the folder if it differs from every copy."""
        state = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not any(part.startswith(".new-") for part in path.parts):
                state.update(f"{path} {path.stat().st_size} ".encode() + path.read_bytes())
        if self.folder.is_dir() and state.hexdigest() not in self.seen:
            self.seen.add(state.hexdigest())
            shutil.copytree(self.folder, self.into / f"{len(self.seen):03d}")

    @contextmanager
    def before_each_write(self) -> Iterator[None]:
        """Take a picture before each file that the block replaces, links or removes, and at its end."""

        def watched(real: Callable[..., object]) -> Callable[..., object]:
            def call(*given: object, **settings: object) -> object:
                self.take()
                return real(*given, **settings)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "link", "unlink"):
                patch.setattr(os, name, watched(getattr(os, name)))
            yield
        self.take()

    def __iter__(self) -> Iterator[Path]:
        return iter(sorted(self.into.iterdir()))
