"""Small runs that turn at a planted update, for the tests of what follows a divergence."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ebmkit import register
from ebmkit.config.layers import typed
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.update import Update
from ebmkit.runs.run import Run

TOY = {
    "energy.use": "mlp",
    "energy.width": "8",
    "energy.depth": "1",
    "data.use": "gaussians",
    "data.count": "100",
    "init.use": "replay",
    "init.size": "40",
    "sampler.steps": "2",
    "train.batch_size": "8",
    "train.iterations": "100",
    "train.average": "0.9",
    "train.lr_schedule": "constant",
    "train.device": "cpu",
    "watch.pictures.every": "0",
    "watch.checkpoints.every": "20",
}
TURN = 75
ROLLBACK = {"train.on_divergence": "rollback"}
PLANTED = {"watch.steepen.at": str(TURN)}


def steepen(updates: Iterator[Update], trainer: Trainer, *, at: int, above: float = 6e-4, to: float = 1e4) -> Any:
    """Make the energy steep at an update, as a blow-up does, if the learning rate is still high.

    Args:
        at: After which update.
        above: Above which learning rate.
        to: How many times steeper.
    """
    for update in updates:
        if update.index == at and trainer.optimizer.param_groups[0]["lr"] > above:
            with torch.no_grad():
                list(trainer.energy.parameters())[-2].mul_(to)
        yield update


def toy(changes: dict[str, str] | None = None) -> Recipe:
    """The recipe of a small run in the plane."""
    return resolve([typed(f"{key}={value}" for key, value in {**TOY, **(changes or {})}.items())])


def planted(**changes: str) -> Recipe:
    """The recipe of a run that turns after update TURN while its learning rate is above 6e-4; the default is 1e-3."""
    register("watcher", "steepen", steepen)
    return toy({**PLANTED, **{key.replace("__", "."): value for key, value in changes.items()}})


def until_rolled_back(run: Run) -> Iterator[Update]:
    """The updates of a run that has begun, which have gone as far as the first after a rollback."""
    updates = run.train()
    for _ in updates:
        if run.events:
            return updates
    raise AssertionError("the run was not rolled back")


def files(place: Path) -> set[str]:
    """The names of the checkpoints in a folder."""
    return {path.name for path in place.glob("checkpoint*")}


quiet = pytest.mark.filterwarnings("ignore::ebmkit.errors.Notice")
