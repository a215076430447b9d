"""Where races are run, and what they have in common."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.precision import Precision
from ebmkit.energies.activations import Activation
from ebmkit.samplers.langevin import Langevin

LANGEVIN = Langevin(step_size=1.0, noise=0.01)


@dataclass(frozen=True)
class Field:
    """Where races are run.

    Attributes:
        device: Where the networks are.
        precisions: Those that are measured.
        quick: Whether networks and races are small, to see that everything runs.
    """

    device: torch.device
    precisions: tuple[Precision, ...]
    quick: bool

    @property
    def compiled(self) -> bool:
        """Ours is measured compiled where that pays: on a GPU."""
        return self.device.type == "cuda"

    def start(self, *shape: int) -> Tensor:
        """Uniform noise in [-1, 1]."""
        rng = Generator(self.device).manual_seed(1)
        return torch.rand(shape, generator=rng, device=self.device) * 2 - 1


def network(build: Callable[..., nn.Module], device: torch.device, activation: Activation) -> nn.Module:
    """A fresh network, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(activation=activation).to(device)


def noiseless(rule: Langevin) -> Langevin:
    """Half of parity: the drift, which noise would hide."""
    return replace(rule, noise=0.0)
