"""The same energy, faster: it enters through `value_and_grad` alone, and nothing else knows it."""

import copy

import torch
from torch import Tensor, nn

from ebmkit.interfaces import evaluating, value_and_grad


class LowPrecision:
    """Stands for an energy in chains and computes in bfloat16, on a twin with frozen channels-last weights.

    The chain's state and noise stay in single precision; only the passes through the network are rounded. Use it as
    `Trainer(..., accelerate=LowPrecision(energy).refreshed)`, or hand `refreshed(energy)` to a sampler.
    """

    def __init__(self, energy: nn.Module) -> None:
        self.twin = copy.deepcopy(energy).requires_grad_(False).bfloat16().eval()
        channels_last(self.twin)
        self.piecewise_linear = bool(getattr(energy, "piecewise_linear", False))

    def refreshed(self, energy: nn.Module) -> "LowPrecision":
        """Take up the weights and buffers that `energy` has now: once per chain, not once per step."""
        with torch.no_grad():
            for mine, theirs in zip(_tensors(self.twin), _tensors(energy), strict=True):
                mine.copy_(theirs)
        return self

    def __call__(self, x: Tensor) -> Tensor:
        """Energies `(B,)` or `(B, 1)` in the dtype of `x`, computed in bfloat16."""
        energy: Tensor = self.twin(x.bfloat16())
        return energy.to(x.dtype)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """E(x) `(B,)` and dE/dx `(B, *shape)`, in the dtype of `x`."""
        with evaluating(self.twin):
            return value_and_grad(self.__call__, x)


def channels_last(module: nn.Module) -> None:
    """Lay the weights of two-dimensional convolutions out with their channels last in memory; values stay."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
