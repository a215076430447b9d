"""Spectral norms: layers whose weights have the largest singular value 1, or at most a given one."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrizations, parametrize

from ebmkit.errors import UsageError, check

FIRST = 15  # power iterations at the start, as many as torch's spectral norm makes


def bound_layers(network: nn.Module, spectral_norm: bool, spectral_bound: float | None) -> None:
    """Normalise or bound the weight of each layer as a matrix `(outputs, inputs * height * width)`.

    With σ its largest singular value, the weight W of a layer becomes `W / σ` with `spectral_norm`, and
    `W / max(1, σ / spectral_bound)` with `spectral_bound`. In training mode each forward pass refines σ by one power
    iteration; in evaluation mode, as in chains, σ follows from the singular vectors found last, so every step has the
    same weights. The norm of a convolution, as a map between images, is at most `sqrt(height * width)` times that of
    its matrix.

    Source: Miyato, Kataoka, Koyama, Yoshida, ICLR 2018, algorithm 1; for the bound, Gouk, Frank, Pfahringer, Cree,
    Machine Learning 2021, which projects the weights so after each update.

    Args:
        network: Has the layers.
        spectral_norm: Whether weights are normalised.
        spectral_bound: The bound; None for no bound.

    Raises:
        UsageError: if the bound is not above 0, or both are asked for.
    """
    if spectral_bound is not None:
        check("spectral_bound", spectral_bound, above=0)
        if spectral_norm:
            raise UsageError("spectral_bound and spectral_norm=true exclude each other: leave one of them out")
    elif not spectral_norm:
        return
    for layer in [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]:
        if spectral_bound is None:
            parametrizations.spectral_norm(layer)
        else:
            parametrize.register_parametrization(layer, "weight", Bounded(layer.weight, spectral_bound))


class Bounded(nn.Module):
    """`W / max(1, σ(W) / bound)`, with σ by power iteration; where σ is below the bound, exactly W."""

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor, bound: float) -> None:
        super().__init__()
        self.bound = bound
        matrix = weight.detach().flatten(1)
        self.register_buffer("left", normalize(torch.randn(len(matrix)), dim=0).to(matrix))
        self.register_buffer("right", matrix.new_zeros(matrix.shape[1]))
        self.iterate(matrix, FIRST)

    @torch.no_grad()
    def iterate(self, matrix: Tensor, times: int) -> None:
        """Refine the singular vectors of the largest singular value of a matrix."""
        for _ in range(times):
            self.right.copy_(normalize(matrix.T @ self.left, dim=0))
            self.left.copy_(normalize(matrix @ self.right, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """The bounded weight, of the shape of the weight."""
        matrix = weight.flatten(1)
        if self.training:
            self.iterate(matrix, 1)
        # Copies, for the next forward pass writes into the vectors before the backward pass reads them.
        sigma = self.left.clone() @ matrix @ self.right.clone()
        return weight / (sigma / self.bound).clamp(min=1)
