"""Spectral normalisation: layers whose weights have a given largest singular value."""

from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from ebmkit.errors import check


def bound_layers(network: nn.Module, spectral_norm: bool | float) -> None:
    """Give the weight of each layer, as a matrix `(outputs, inputs * height * width)`, this largest singular value.

    The weight W of a layer becomes `value * W / σ(W)`. In training mode each forward pass refines σ by one power
    iteration; in evaluation mode, as in chains, σ follows from the singular vectors found last, so every
    step has the same weights. The norm of a convolution, as a map between images, is at most `sqrt(height * width)`
    times that of its matrix.

    Source: Miyato, Kataoka, Koyama, Yoshida, ICLR 2018, algorithm 1.

    Args:
        network: Has the layers.
        spectral_norm: The value; True is 1, and False leaves the layers as they are.

    Raises:
        UsageError: if the value is not above 0.
    """
    if spectral_norm is False:
        return
    check("spectral_norm", spectral_norm, above=0)
    for layer in [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]:
        parametrizations.spectral_norm(layer)
        if spectral_norm != 1:
            parametrize.register_parametrization(layer, "weight", Scaled(spectral_norm))


class Scaled(nn.Module):
    """Multiplies a weight by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, multiplied."""
        return self.factor * weight
