"""The energies of a tilted flow: as a correction of its density, in its latent space, and in the space of examples."""

import math

import torch
from torch import Tensor, nn

from ebmkit import EnergyFn, energy_values
from ebmkit_neural_transport.flow import Flow


def tilt(energy: EnergyFn, x: Tensor, bound: float | None) -> Tensor:
    """The tilt of the flow at examples `(B, *shape)`: E(x), or `bound tanh(E(x) / bound)`, `(B,)`.

    An energy that falls without bound can outweigh the tails of the flow: then exp(-E) q is no density, and only chains
    much longer than those of the training show it. With a bound B, Z is always in [exp(-B), exp(B)].
    """
    value = energy_values(energy, x)
    return value if bound is None else bound * torch.tanh(value / bound)


class LatentEnergy(nn.Module):
    """The energy of z where x = f(z) has the density exp(-E(x)) q(x) / Z: `U(z) = E(f(z)) + |z|² / 2`.

    It is `E(x) - log q(x) - log |det dx/dz|` up to a constant: the Jacobian of the flow cancels.

    Args:
        energy: E.
        flow: f, whose density is q.
        bound: That of the tilt; None leaves it without.
    """

    def __init__(self, energy: nn.Module, flow: Flow, bound: float | None) -> None:
        super().__init__()
        self.energy, self.flow, self.bound = energy, flow, bound

    def forward(self, z: Tensor) -> Tensor:
        """U(z) `(B,)` of states of chains `(B, *shape)`."""
        return tilt(self.energy, self.flow(z), self.bound) + z.square().flatten(1).sum(1) / 2


class ExampleEnergy(nn.Module):
    """The energy of examples, up to log Z: `-log p(x) - log Z = U(z) - log |det dz/dx| + d/2 log 2π` at z = f⁻¹(x).

    It is E(x) - log q(x), from what a model has: for chains in the space of examples, and as a score of examples.

    Args:
        latent: U.
        flow: f.
    """

    def __init__(self, latent: EnergyFn, flow: Flow) -> None:
        super().__init__()
        self.latent, self.flow = latent, flow

    def forward(self, x: Tensor) -> Tensor:
        """E(x) - log q(x) `(B,)` of examples `(B, *shape)`."""
        z, logarithm = self.flow.inverse(x)
        return energy_values(self.latent, z) - logarithm + math.log(2 * math.pi) * x[0].numel() / 2
