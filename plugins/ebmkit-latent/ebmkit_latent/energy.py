"""The energies of the two kinds of chains in the latent space: of the prior, and of the posterior of given examples."""

from torch import Tensor, nn

from ebmkit import energy_values


class Prior(nn.Module):
    """U(z) = E(z) + |z|²/2, so that exp(-U) is the prior exp(-E(z)) N(z; 0, I).

    Args:
        energy: E, a module `(B, d) -> (B,)`.
    """

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, z: Tensor) -> Tensor:
        """U `(B,)` of z `(B, d)`."""
        return energy_values(self.energy, z) + z.square().sum(1) / 2


class Posterior(nn.Module):
    """U(z) + |x - G(z)|² / (2 σ²), the energy of z given x where x = G(z) + σ N(0, I); chain i is given example i.

    Args:
        energy: E of the prior.
        generator: G, a module `(B, d) -> (B, *shape)`.
        x: The examples `(B, *shape)`.
        sigma: σ.
    """

    x: Tensor

    def __init__(self, energy: nn.Module, generator: nn.Module, x: Tensor, sigma: float) -> None:
        super().__init__()
        self.prior, self.generator, self.sigma = Prior(energy), generator, sigma
        self.register_buffer("x", x, persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """The energy `(B,)` of z `(B, d)`."""
        error = (self.x - self.generator(z)).square().flatten(1).sum(1)
        value: Tensor = self.prior(z) + error / (2 * self.sigma**2)
        return value
