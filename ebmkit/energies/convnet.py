"""The network of the paper."""

from torch import Tensor

from ebmkit.energies.activations import PIECEWISE_LINEAR, Activation
from ebmkit.energies.spectral import bound_layers
from ebmkit.energies.stages import convolutions
from ebmkit.interfaces import Energy


class ConvNet(Energy):
    """The paper's bottom-up network on square images: no normalisation, one linear output.

    A 3x3 convolution to `width` maps, then 4x4 convolutions of stride 2 that double the maps (up to 8 times
    the width) while they halve the image down to 4x4, then a 4x4 convolution to one value; an activation
    after each except the last.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019: at 32x32 the network of the released code (its f is our -E); at
    64 and 128 the same with further stages of 8 times the width; at 8 and 16 (ours) with the last stages left out.
    Spectral normalisation is not the paper's: Du & Mordatch, NeurIPS 2019.

    Args:
        width: Maps of the first layer, the paper's n_f.
        activation: Activation between the layers.
        slope: Slope of leaky_relu for negative inputs.
        spectral_norm: Whether each layer's weight, as a matrix, is divided by its largest singular value.
        spectral_bound: Upper bound on the largest singular value of each layer's weight; none leaves it unbounded.

    Raises:
        UsageError: if images are not square of 8, 16, 32, 64 or 128 pixels, or a setting is out of range.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 32,
        activation: Activation = "leaky_relu",
        slope: float = 0.2,
        spectral_norm: bool = False,
        spectral_bound: float | None = None,
    ) -> None:
        super().__init__()
        self.piecewise_linear = activation in PIECEWISE_LINEAR
        self.layers = convolutions(shape, 1, width, activation, slope)
        bound_layers(self, spectral_norm, spectral_bound)

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of images `(B, channels, size, size)`."""
        energy: Tensor = self.layers(x)
        return energy.flatten()
