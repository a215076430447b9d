"""Trainers with known gradients, and small ones with every option."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.energies.analytic import GaussianEnergy
from ebmkit.energies.mlp import MLP
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, State
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.samplers.langevin import Langevin

SHAPE = (3,)
CENTRE = torch.tensor([0.7, -1.2, 0.4], dtype=torch.float64)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def well(mean: Tensor | float = 0.0) -> GaussianEnergy:
    """|x - mean|² / 2, in double precision."""
    return GaussianEnergy(SHAPE, mean=torch.as_tensor(mean, dtype=torch.float64).expand(SHAPE))


class Exact(Sampler):
    """One step that is an exact draw of exp(-E) for `well`."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        assert isinstance(energy, GaussianEnergy)
        yield State(energy.mean.detach() + torch.randn(x.shape, generator=rng, dtype=torch.float64), {})


class Recorded(InitDistribution):
    """Uniform starts in double precision; the ends that it is to remember are recorded."""

    def __init__(self) -> None:
        self.ends: list[Tensor] = []

    def sample(self, n: int, rng: Generator) -> Tensor:
        return 2 * torch.rand(n, *SHAPE, generator=rng, dtype=torch.float64) - 1

    def remember(self, x: Tensor) -> None:
        self.ends.append(x)


def trainer(energy: nn.Module, sampler: Sampler | None = None, *, lr: float = 0.1, **settings: Any) -> Trainer:
    optimizer = torch.optim.SGD(energy.parameters(), lr=lr)
    return Trainer(energy, sampler or Exact(), Recorded(), optimizer, rng(), **settings)


def data(n: int, seed: int = 0) -> Tensor:
    """Draws around CENTRE with unit variance."""
    return CENTRE + torch.randn(n, *SHAPE, generator=rng(seed), dtype=torch.float64)


def network() -> MLP:
    torch.manual_seed(0)
    return MLP(SHAPE, width=8, depth=2)


def small(**settings: Any) -> Trainer:
    """A network, Langevin chains, a replay buffer and Adam: everything that a checkpoint must store."""
    energy = network()
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.01)
    init = ReplayBuffer(SHAPE, size=20, restart=0.3)
    return Trainer(energy, Langevin(steps=3, step_size=0.1, noise=0.1), init, optimizer, rng(), **settings)


def real(index: int, n: int = 8) -> Tensor:
    return torch.rand(n, *SHAPE, generator=rng(100 + index)) * 2 - 1


def same(one: Any, other: Any) -> bool:
    """Whether two states are bitwise the same."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
