"""Energies under test and the examples that they are called with, built with fixed seeds."""

from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.copying import unsized
from ebmkit.interfaces import EnergyFn, eval_mode
from ebmkit.testing.globals import seeded
from ebmkit.testing.kit import NotPromised, Subject


def new_energy(subject: Subject, seed: int = 0, torch_seed: int | None = None) -> Any:
    """A new energy, built with the global seeds `seed`; torch's is `torch_seed` where that is given.

    Lazy layers get their sizes in a first pass, as in a run.
    """
    with seeded(seed):
        if torch_seed is not None:
            torch.manual_seed(torch_seed)
        energy = subject.make()
        if isinstance(energy, nn.Module) and unsized(energy):
            with torch.no_grad(), eval_mode(energy):
                energy(torch.zeros(2, *subject.shape))
        return energy


def new_module(subject: Subject, seed: int = 0) -> nn.Module:
    """A new energy, for a check that applies only to modules."""
    energy = new_energy(subject, seed)
    if not isinstance(energy, nn.Module):
        raise NotPromised("a torch.nn.Module")
    return energy


def in_dtype(energy: Any, dtype: torch.dtype) -> Any:
    """The energy with its parameters and buffers in that dtype."""
    return energy.to(dtype) if isinstance(energy, nn.Module) else energy


def call(energy: EnergyFn, x: Tensor, seed: int = 0) -> Tensor:
    """E(x) in the shape that the energy returns, in evaluation mode, without a graph, with the global seeds `seed`."""
    with seeded(seed), torch.no_grad(), eval_mode(energy):
        return energy(x)


def close(one: Tensor, other: Tensor) -> bool:
    """Equal up to the square root of the dtype's epsilon, relative to the largest value: far above rounding errors."""
    size = torch.finfo(other.dtype).eps ** 0.5 * float(other.abs().max())
    return bool(((one - other).abs() <= size).all())


def uniform(subject: Subject, count: int) -> Tensor:
    """Examples `(count, *shape)` of U(-1, 1)."""
    return torch.rand(count, *subject.shape, generator=Generator().manual_seed(0)) * 2 - 1


def normal(subject: Subject, count: int) -> Tensor:
    """Examples `(count, *shape)` of N(0, 1)."""
    return torch.randn(count, *subject.shape, generator=Generator().manual_seed(0))
