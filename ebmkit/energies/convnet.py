"""The network of the paper."""

from itertools import pairwise

from torch import Tensor, nn

from ebmkit.energies.activations import PIECEWISE_LINEAR, Activation, activation_layer
from ebmkit.energies.spectral import bound_layers
from ebmkit.errors import UsageError, check
from ebmkit.interfaces import Energy

# Channels of the convolutions, in units of the width, by the size of the image.
STAGES = {8: (1, 2), 16: (1, 2, 4), 32: (1, 2, 4, 8), 64: (1, 2, 4, 8, 8), 128: (1, 2, 4, 8, 8, 8)}


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
        check("width", width, at_least=1)
        check("slope", slope, at_least=0, below=1)
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in STAGES:
            raise UsageError(
                f"convnet takes square images of 8, 16, 32, 64 or 128 pixels, (channels, size, size), not examples of "
                f"shape {tuple(shape)}; fit image data with: -s data.size=32 -s data.fit=pad|resize"
            )
        channels = [shape[0], *(width * factor for factor in STAGES[shape[1]])]
        layers: list[nn.Module] = [nn.Conv2d(channels[0], channels[1], 3, stride=1, padding=1)]
        for before, after in pairwise(channels[1:]):
            layers += [activation_layer(activation, slope), nn.Conv2d(before, after, 4, stride=2, padding=1)]
        layers += [activation_layer(activation, slope), nn.Conv2d(channels[-1], 1, 4)]
        self.layers = nn.Sequential(*layers)
        bound_layers(self, spectral_norm, spectral_bound)

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of images `(B, channels, size, size)`."""
        energy: Tensor = self.layers(x)
        return energy.flatten()
