"""Samplers of other libraries as ebmkit samplers, for the test kit: thin adapters, one step at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ebm
import torch
from torch import Generator, Tensor
from torchebm.core import BaseModel
from torchebm.samplers import HamiltonianMonteCarlo

from ebmkit.interfaces import EnergyFn, Promises, Sampler, State


class _Model(BaseModel):  # type: ignore[misc]
    """An energy for torchebm, which samples only from its own modules; its HMC accepts only flat examples."""

    def __init__(self, energy: EnergyFn, shape: torch.Size) -> None:
        super().__init__()
        self.energy, self.shape = energy, shape

    def forward(self, x: Tensor) -> Tensor:
        return self.energy(x.view(-1, *self.shape))


@dataclass(frozen=True, kw_only=True)
class TorchEBM(Sampler):
    """HMC of torchebm, on examples flattened to `(B, d)`."""

    steps: int = 20
    step_size: float = 0.1
    leapfrog: int = 5

    @property
    def promises(self) -> Promises:
        """Its documentation says that it has a Metropolis correction."""
        return Promises(temperature=1.0, reversible=True)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each proposal."""
        settings = {"step_size": self.step_size, "n_leapfrog_steps": self.leapfrog, "dtype": x.dtype}
        sampler = HamiltonianMonteCarlo(_Model(energy, x.shape[1:]), **settings)
        for _ in range(self.steps):
            x = sampler.sample(x=x.flatten(1), n_steps=1, generator=rng).view_as(x)
            yield State(x, {})


@dataclass(frozen=True, kw_only=True)
class OtherEbmkit(Sampler):
    """A sampler of the library `ebmkit` on PyPI, which is imported as `ebm`; it draws from the global random state."""

    make: Callable[[], Any]
    steps: int = 20

    @property
    def promises(self) -> Promises:
        """Its documentation says that it is unbiased."""
        return Promises(temperature=1.0, reversible=True)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each proposal; the global state is seeded from `rng` each time, and then restored."""
        sampler = self.make()
        for _ in range(self.steps):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
                x = sampler.sample(energy, x, steps=1)
            yield State(x, {})


PEERS: dict[str, Sampler] = {
    "torchebm 0.8.9 HMC": TorchEBM(),
    f"ebm {ebm.__version__} HMC": OtherEbmkit(make=lambda: ebm.HMC(step_size=0.1, leapfrog_steps=5)),
    f"ebm {ebm.__version__} MALA": OtherEbmkit(make=lambda: ebm.MALA(step_size=0.1)),
}
