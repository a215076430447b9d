"""Convolutions from an image to a vector, for inference."""

import math

from torch import Tensor, nn

from ebmkit import check
from ebmkit_latent.sizes import halvings

WIDEST = 8  # maps of the last layers, in units of the width


class EncoderNet(nn.Module):
    """Convolutions of square images, with instance normalisation: no statistics of the batch.

    A 3x3 convolution to `width` maps, then 4x4 convolutions of stride 2 that double the maps, up to 8 times the width,
    until the side is 4 to 7; after each of these, instance normalisation and LeakyReLU; then a convolution to the
    outputs.

    Source: the encoder of Yu et al., NeurIPS 2023, at 32x32; other sizes have fewer or more of its layers.

    Args:
        width: Maps of the first layer.
        slope: Slope of LeakyReLU for negative inputs.

    Raises:
        UsageError: if images are not square of a side that can be halved to 4 to 7, or a setting is out of range.
    """

    def __init__(
        self, inputs: tuple[int, ...], outputs: tuple[int, ...], *, width: int = 64, slope: float = 0.2
    ) -> None:
        super().__init__()
        check("width", width, at_least=1)
        check("slope", slope, at_least=0, below=1)
        self.outputs = tuple(outputs)
        times = halvings("encodernet", inputs)
        layers: list[nn.Module] = [nn.Conv2d(inputs[0], width, 3, padding=1), nn.LeakyReLU(slope)]
        maps = width
        for _ in range(times):
            before, maps = maps, min(2 * maps, WIDEST * width)
            # The normalisation removes the mean, and so any bias before it.
            layers += [
                nn.Conv2d(before, maps, 4, stride=2, padding=1, bias=False),
                nn.InstanceNorm2d(maps, affine=True),
                nn.LeakyReLU(slope),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(maps, math.prod(outputs), inputs[-1] >> times))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs `(B, *outputs)` for images `(B, channels, side, side)`."""
        found: Tensor = self.layers(x)
        return found.view(-1, *self.outputs)
