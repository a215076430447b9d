"""What a flow is: an invertible map from Gaussian noise to examples, with a density that is known."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ebmkit import UsageError

SMALLEST = 1e-3  # of a standard deviation that examples are divided by


def standard_normal(z: Tensor) -> Tensor:
    """The log density of N(0, I) at `z` `(B, *shape)`: `(B,)`."""
    return -(z.square() + math.log(2 * math.pi)).flatten(1).sum(1) / 2


class Flow(nn.Module, ABC):
    """A flow: x = f(z) = centre + scale g(z), with z ~ N(0, I) of the shape of x and an invertible g.

    Its density is `log q(x) = log N(z; 0, I) + log |det dz/dx|` at z = f⁻¹(x). The centre and the scale, one of each
    for every element of x, are those of the first examples that it is trained on: then g begins near the identity.

    Args:
        inputs: The shape of z.
        outputs: The shape of x, which must be the same.

    Raises:
        UsageError: if the shapes differ.
    """

    centre: Tensor
    scale: Tensor
    standardised: Tensor

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__()
        if tuple(inputs) != tuple(outputs):
            raise UsageError(f"a flow maps to the shape of its inputs, {tuple(inputs)}, not to {tuple(outputs)}")
        self.shape = tuple(outputs)
        self.register_buffer("centre", torch.zeros(self.shape))
        self.register_buffer("scale", torch.ones(self.shape))
        self.register_buffer("standardised", torch.tensor(False))

    @abstractmethod
    def push(self, z: Tensor) -> Tensor:
        """g(z) `(B, *shape)`."""

    @abstractmethod
    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """g⁻¹(y) `(B, *shape)`, and the logarithm of the absolute determinant of its Jacobian, `(B,)`."""

    def forward(self, z: Tensor) -> Tensor:
        """Examples x = f(z) `(B, *shape)`."""
        return self.centre + self.scale * self.push(z)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f⁻¹(x) `(B, *shape)`, and `log |det dz/dx|` `(B,)`."""
        z, logarithm = self.pull((x - self.centre) / self.scale)
        return z, logarithm - self.scale.log().sum()

    def log_density(self, x: Tensor) -> Tensor:
        """The log density log q(x) of examples `(B, *shape)`, `(B,)`."""
        z, logarithm = self.inverse(x)
        return standard_normal(z) + logarithm

    def standardise(self, x: Tensor) -> None:
        """Take the centre and the scale from examples `(B, *shape)`: their means and standard deviations."""
        self.centre.copy_(x.mean(0))
        self.scale.copy_(x.std(0, correction=0).clamp(min=SMALLEST))
        self.standardised.fill_(True)
