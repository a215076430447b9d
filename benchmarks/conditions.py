"""The conditions of a benchmark: device, precisions and size, and what all benchmarks share."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.precision import Precision
from ebmkit.energies.activations import Activation
from ebmkit.samplers.langevin import Langevin

LANGEVIN = Langevin(step_size=1.0, noise=0.01)


@dataclass(frozen=True)
class Setup:
    """What a benchmark is run on.

    Attributes:
        device: The device of the networks.
        precisions: The precisions to measure.
        quick: Whether networks are small and rounds few, only to see that everything runs.
    """

    device: torch.device
    precisions: tuple[Precision, ...]
    quick: bool

    @property
    def compiled(self) -> bool:
        """Whether ebmkit is also measured compiled: only on a GPU, where compiling pays off."""
        return self.device.type == "cuda"

    def start(self, *shape: int) -> Tensor:
        """Uniform noise in [-1, 1] of this shape, always the same."""
        rng = Generator(self.device).manual_seed(1)
        return torch.rand(shape, generator=rng, device=self.device) * 2 - 1


def network(build: Callable[..., nn.Module], device: torch.device, activation: Activation) -> nn.Module:
    """A new network, always with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(activation=activation).to(device)


def noiseless(rule: Langevin) -> Langevin:
    """The same sampler without noise: parity of the drift, which noise would hide."""
    return replace(rule, noise=0.0)
