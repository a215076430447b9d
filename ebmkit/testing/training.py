"""A small training, always the same one, for watchers to look at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.data.examples import Examples
from ebmkit.interfaces import Energy, EnergyFn, InitDistribution, Sampler, State, noise_like, value_and_grad
from ebmkit.methods.maximum_likelihood import Trainer, Update
from ebmkit.testing.kit import Subject

UPDATES = 5
BATCH = 8


class Bowl(Energy):
    """E(x) = |scale * x - shift|² / 2 over all elements."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)`."""
        return (self.scale * x - self.shift).square().flatten(1).sum(1) / 2


@dataclass(frozen=True, kw_only=True)
class Walk(Sampler):
    """A few steps of `x' = x - 0.1 dE/dx(x) + 0.1 N(0, I)`.

    Args:
        steps: How many.
    """

    steps: int = 3

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step."""
        for _ in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            x = x - 0.1 * gradient + 0.1 * noise_like(x, rng)
            yield State(x, {"energy": value, "gradient": gradient})


class Bank(InitDistribution):
    """Chains start near where the last ones ended, so that whatever a watcher tells the init comes to light."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.ends = torch.zeros(BATCH, *shape)

    def sample(self, n: int, rng: Generator) -> Tensor:
        """Starts `(n, *shape)`."""
        start = self.ends[torch.randint(len(self.ends), (n,), generator=rng)]
        return start + 0.5 * noise_like(start, rng)

    def remember(self, x: Tensor) -> None:
        """Start here next time."""
        self.ends = x.clone()

    def state_dict(self) -> dict[str, Tensor]:
        """Where the last chains ended."""
        return {"ends": self.ends}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        self.ends = state["ends"].clone()


class Training:
    """A run of `UPDATES` updates on uniform noise, on the CPU.

    Attributes:
        shape: Shape of one example.
        folder: The run's folder, which is not made here.
        trainer: Its trainer, fresh.
    """

    def __init__(self, shape: tuple[int, ...], folder: str = "runs/first") -> None:
        self.shape, self.folder = shape, Path(folder)
        energy = Bowl(shape)
        optimizer = torch.optim.Adam(energy.parameters(), lr=0.01)
        self.trainer = Trainer(energy, Walk(), Bank(shape), optimizer, Generator().manual_seed(1))
        self.examples = Examples(torch.rand(64, *shape, generator=Generator().manual_seed(2)) * 2 - 1)

    def updates(self, count: int = UPDATES) -> Iterator[Update]:
        """The next updates, bare."""
        for _ in range(count):
            yield self.trainer.update(self.examples.fetch(torch.arange(BATCH) + self.trainer.index))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of it would hold."""
        state = {"format": 1, "config": "", "shape": list(self.shape), "device": "cpu"}
        return {**state, "trainer": self.trainer.state_dict()}

    def condition(self) -> dict[str, Any]:
        """All that the next update depends on, by name."""
        energy = self.trainer.energy
        return {
            **self.trainer.state_dict(),
            "training mode": [module.training for module in energy.modules()],
            "requires_grad": [parameter.requires_grad for parameter in energy.parameters()],
        }

    def watched(self, subject: Subject, steps: Iterator[Update] | None = None) -> Iterator[Update]:
        """The next updates, or these `steps`, as they come out of a watcher."""
        facts: dict[str, Any] = {
            "steps": self.updates() if steps is None else steps,
            "trainer": self.trainer,
            "folder": self.folder,
            "examples": self.examples,
            "iterations": self.trainer.index + UPDATES,
            "config": {"train": {"iterations": UPDATES, "batch_size": BATCH, "average": None}},
            "state": self.state_dict,
        }
        return iter(subject.make(**facts))


def same(one: Any, other: Any) -> bool:
    """Whether two trees of tensors and plain values are equal, bit for bit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
