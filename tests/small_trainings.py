"""Small trainings and made-up updates, for the tests of watchers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from ebmkit.data.examples import Examples
from ebmkit.energies.mlp import MLP
from ebmkit.files import replacing
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.update import Update
from ebmkit.samplers.langevin import Langevin
from ebmkit.watchers import write_checkpoints

SHAPE = (1, 8, 8)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def trainer(sampler: Any = None, *, shape: tuple[int, ...] = SHAPE, lr: float = 0.01, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    energy = MLP(shape, width=4, depth=1)
    optimizer = torch.optim.Adam(energy.parameters(), lr=lr)
    return Trainer(energy, sampler or Langevin(steps=4), ReplayBuffer(shape, size=100), optimizer, rng(), **settings)


def examples(shape: tuple[int, ...] = SHAPE) -> Examples:
    return Examples(torch.rand(50, *shape, generator=rng(9)) * 2 - 1)


def updates_of(training: Trainer, count: int, shape: tuple[int, ...] = SHAPE) -> Iterator[Update]:
    source = examples(shape)
    for index in range(training.index, training.index + count):
        yield training.update(source.fetch(torch.arange(index, index + 8)))


def made_up(index: int, **changes: Any) -> Update:
    """An update with simple values."""
    values: dict[str, Any] = {
        "index": index,
        "loss": torch.tensor(0.5),
        "real_energy": torch.tensor([1.0, 3.0]),
        "fake_energy": torch.tensor([0.0, 1.0]),
        "fake": torch.zeros(2, 1, 4, 4),
        "gradient_norm": torch.tensor(7.0),
        "chain": {"displacement": torch.tensor(0.25)},
    }
    return Update(**values | changes)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def saved(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def store(folder: Path, state: Any) -> None:
    """Write a checkpoint as a run does."""
    with replacing(folder / "checkpoint.pt") as new:
        torch.save(state, new)


def checkpointed(updates: Iterator[Update], training: Trainer, folder: Path, **settings: Any) -> Iterator[Update]:
    """The updates, saved by the watcher as a run does it."""
    return write_checkpoints(updates, training, lambda: store(folder, training.state_dict()), **settings)
