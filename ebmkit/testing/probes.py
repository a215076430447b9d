"""Energies that notice what a chain does to them, and energies that are broken on purpose."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.interfaces import EnergyFn, Sampler, State
from ebmkit.testing.kit import require
from ebmkit.testing.targets import quadratic

LEFT = "with these settings the chain leaves the finite numbers on |x|²/2: test it with settings that stay in them"


class Interruption(RuntimeError):
    """What the kit's energy raises."""


class Counted:
    """|x|² / 2, which counts how often it is called, and the gradients asked for, an example at a time."""

    def __init__(self) -> None:
        self.calls = self.gradients = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Energies `(B,)`; a gradient is counted when autograd comes for it."""
        self.calls += 1
        if x.requires_grad:
            x = x.clone()
            x.register_hook(self._count)  # type: ignore[no-untyped-call]
        return quadratic(x)

    def _count(self, gradient: Tensor) -> None:
        self.gradients += len(gradient)


class Network(nn.Module):
    """A small network with everything that a chain could disturb: dropout, running statistics, a frozen weight."""

    def __init__(self, raises_at: int | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Dropout(0.5), nn.Linear(8, 1))
        self.layers[0].bias.requires_grad_(False)
        self.layers[2].eval()
        self.calls, self.raises_at = 0, raises_at

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B, 1)`."""
        self.calls += 1
        if self.calls == self.raises_at:
            raise Interruption
        energy: Tensor = self.layers(x)
        return energy

    def everything(self) -> dict[str, Any]:
        """Whatever must be after a chain as it was before."""
        found: dict[str, Any] = {name: value.detach().clone() for name, value in self.state_dict().items()}
        for name, parameter in self.named_parameters():
            found |= {f"requires_grad of {name}": parameter.requires_grad, f"grad of {name}": parameter.grad}
        return found | {f"the mode of '{name}'": module.training for name, module in self.named_modules()}


def nan(x: Tensor) -> Tensor:
    """NaN everywhere, and so is the gradient."""
    return quadratic(x) * math.nan


def nan_gradient(x: Tensor) -> Tensor:
    """|x|² / 2, whose gradient is NaN everywhere: 0 times the slope of the root at 0, which is infinite."""
    return quadratic(x) + (0 * x).flatten(1).sqrt().sum(1)


def start_at(*shape: int) -> Tensor:
    """Where the chains of the checks start: `shape`, or eight points in space."""
    return torch.randn(*(shape or (8, 3)), generator=Generator().manual_seed(0))


def chain_of(sampler: Sampler, energy: EnergyFn, start: Tensor) -> Iterator[State]:
    """A chain of a seed that is always the same."""
    return sampler.chain(energy, start, Generator().manual_seed(0))


def require_same(one: Tensor, other: Tensor, message: str) -> None:
    """Fail unless two chains came to the same, bit for bit, NaN to NaN; who left the numbers is told that instead."""
    __tracebackhide__ = True
    if one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all()):
        return
    finite = bool(one.isfinite().all() and other.isfinite().all())
    require(False, message if finite else LEFT)
