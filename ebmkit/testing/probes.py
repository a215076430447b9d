"""Energies that record what a chain does to them, and energies that are wrong on purpose."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.interfaces import EnergyFn, Sampler, State
from ebmkit.testing.kit import require
from ebmkit.testing.targets import quadratic

DIVERGED = "with these settings the chain diverges on |x|²/2: test it with settings for which it stays finite"


class Interruption(RuntimeError):
    """The exception that the kit's energy raises."""


class Counted:
    """|x|² / 2, which counts its calls, and its gradients, one for each example."""

    def __init__(self) -> None:
        self.calls = self.gradients = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Energies `(B,)`; a gradient is counted when autograd computes it."""
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
        """Everything that a chain must leave unchanged, by name."""
        found: dict[str, Any] = {name: value.detach().clone() for name, value in self.state_dict().items()}
        for name, parameter in self.named_parameters():
            found |= {f"requires_grad of {name}": parameter.requires_grad, f"grad of {name}": parameter.grad}
        return found | {f"the mode of '{name}'": module.training for name, module in self.named_modules()}


def nan(x: Tensor) -> Tensor:
    """NaN everywhere, like its gradient."""
    return quadratic(x) * math.nan


def nan_gradient(x: Tensor) -> Tensor:
    """|x|² / 2 with a gradient that is NaN everywhere: 0 times the infinite slope of the root at 0."""
    return quadratic(x) + (0 * x).flatten(1).sqrt().sum(1)


def start_at(*shape: int) -> Tensor:
    """Where the chains of the checks start: normal noise of this shape, by default eight points in three dimensions."""
    return torch.randn(*(shape or (8, 3)), generator=Generator().manual_seed(0))


def chain_of(sampler: Sampler, energy: EnergyFn, start: Tensor) -> Iterator[State]:
    """A chain with a fixed seed."""
    return sampler.chain(energy, start, Generator().manual_seed(0))


def require_same(one: Tensor, other: Tensor, message: str) -> None:
    """Fail unless two results agree bitwise, NaN with NaN; for chains that diverged, the message says that instead."""
    __tracebackhide__ = True
    if one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all()):
        return
    finite = bool(one.isfinite().all() and other.isfinite().all())
    require(False, message if finite else DIVERGED)
