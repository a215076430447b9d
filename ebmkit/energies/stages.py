"""The convolutions of the paper's network, from a square image to a few values."""

from itertools import pairwise

from torch import nn

from ebmkit.energies.activations import Activation, activation_layer
from ebmkit.errors import UsageError, check

# Channels of the convolutions, in units of the width, by the size of the image.
STAGES = {8: (1, 2), 16: (1, 2, 4), 32: (1, 2, 4, 8), 64: (1, 2, 4, 8, 8), 128: (1, 2, 4, 8, 8, 8)}


def convolutions(
    shape: tuple[int, ...], outputs: int, width: int, activation: Activation, slope: float
) -> nn.Sequential:
    """Layers from images `(B, *shape)` to `(B, outputs, 1, 1)`; see `ConvNet`.

    Raises:
        UsageError: if images are not square of 8, 16, 32, 64 or 128 pixels, or a setting is out of range.
    """
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
    layers += [activation_layer(activation, slope), nn.Conv2d(channels[-1], outputs, 4)]
    return nn.Sequential(*layers)
