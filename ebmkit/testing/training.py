"""A short training, always the same one, for watchers to observe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.data.examples import Examples
from ebmkit.files import replacing
from ebmkit.interfaces import Energy, EnergyFn, InitDistribution, Sampler, State, noise_like, value_and_grad
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.update import Update
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
        steps: K, the length of one chain.
    """

    steps: int = 3

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step."""
        for _ in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            x = x - 0.1 * gradient + 0.1 * noise_like(x, rng)
            yield State(x, {"energy": value, "gradient": gradient})


class Bank(InitDistribution):
    """Chains start near where the last ones ended, so that training shows whatever a watcher makes it remember."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.ends = torch.zeros(BATCH, *shape)

    def sample(self, n: int, rng: Generator) -> Tensor:
        """Starts `(n, *shape)`."""
        start = self.ends[torch.randint(len(self.ends), (n,), generator=rng)]
        return start + 0.5 * noise_like(start, rng)

    def remember(self, x: Tensor) -> None:
        """Store where the chains ended `(n, *shape)`."""
        self.ends = x.clone()

    def state_dict(self) -> dict[str, Tensor]:
        """Where the last chains ended."""
        return {"ends": self.ends}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.ends = state["ends"].clone()


class Training:
    """A run of `UPDATES` updates on uniform noise, on the CPU.

    Attributes:
        shape: Shape of one example.
        folder: The folder of the run, which is not created here.
        trainer: Its trainer, new.
    """

    def __init__(self, shape: tuple[int, ...], folder: str = "runs/first") -> None:
        self.shape, self.folder = shape, Path(folder)
        energy = Bowl(shape)
        optimizer = torch.optim.Adam(energy.parameters(), lr=0.01)
        self.trainer = Trainer(energy, Walk(), Bank(shape), optimizer, Generator().manual_seed(1))
        self.examples = Examples(torch.rand(64, *shape, generator=Generator().manual_seed(2)) * 2 - 1)

    def updates(self, count: int = UPDATES) -> Iterator[Update]:
        """The next updates, without a watcher."""
        for _ in range(count):
            yield self.trainer.update(self.examples.fetch(torch.arange(BATCH) + self.trainer.index))

    def save(self) -> None:
        """Write `checkpoint.pt` in the folder, as a run does."""
        with replacing(self.folder / "checkpoint.pt") as path:
            torch.save({"trainer": self.trainer.state_dict()}, path)

    def condition(self) -> dict[str, Any]:
        """Everything that the next update depends on, by name."""
        energy = self.trainer.energy
        return {
            **self.trainer.state_dict(),
            "training mode": [module.training for module in energy.modules()],
            "requires_grad": [parameter.requires_grad for parameter in energy.parameters()],
        }

    def watched(self, subject: Subject, updates: Iterator[Update] | None = None) -> Iterator[Update]:
        """The next updates, or these `updates`, as a watcher yields them."""
        facts: dict[str, Any] = {
            "updates": self.updates() if updates is None else updates,
            "trainer": self.trainer,
            "folder": self.folder,
            "examples": self.examples,
            "iterations": self.trainer.index + UPDATES,
            "config": {"train": {"iterations": UPDATES, "batch_size": BATCH, "average": None}},
            "save": self.save,
            "keep": lambda: None,
            "memory": {},
            "hold": held,
        }
        return iter(subject.make(**facts))


def held(error: BaseException) -> None:
    """Raise at once what would stop a run after its update."""
    raise error


def same(one: Any, other: Any) -> bool:
    """Whether two trees of tensors and plain values are bitwise equal."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
