"""The simplest flow, whose density is a Gaussian."""

import math

import torch
from torch import Tensor, nn

from ebmkit_neural_transport.flow import Flow


class AffineFlow(Flow):
    """An affine map: its density is a Gaussian with any mean and covariance, so a tilt of it can be computed exactly.

    `g(z) = L z + b` with a lower triangular L whose diagonal is positive. By maximum likelihood it learns the mean and
    the covariance of the data.
    """

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__(inputs, outputs)
        d = math.prod(self.shape)
        self.lower = nn.Parameter(torch.zeros(d, d))
        self.log_diagonal = nn.Parameter(torch.zeros(d))
        self.shift = nn.Parameter(torch.zeros(d))

    @property
    def matrix(self) -> Tensor:
        """L `(d, d)`."""
        return self.lower.tril(-1) + self.log_diagonal.exp().diag()

    def push(self, z: Tensor) -> Tensor:
        """L z + b."""
        return (z.flatten(1) @ self.matrix.T + self.shift).view_as(z)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """L⁻¹ (y - b), and -log det L."""
        offset = (y.flatten(1) - self.shift).T
        z = torch.linalg.solve_triangular(self.matrix, offset, upper=False).T
        return z.reshape_as(y), -self.log_diagonal.sum().expand(len(y))
