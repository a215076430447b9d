"""Transposed convolutions from a vector to an image."""

import math
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ebmkit import UsageError, check
from ebmkit_latent.sizes import halvings, square


class DeconvNet(nn.Module):
    """A generator of square images: a transposed convolution to the first maps, then 4x4 ones that double the side.

    LeakyReLU after each except the last, which tanh follows, so that values are in (-1, 1). No normalisation.

    Source: the released code of Yu et al., NeurIPS 2023. Its maps are 512, 256, 128 for SVHN; 1024, 512, 256, 128 for
    CelebA at 64x64; 2048, 1024, 512, 512, 256, 128 for CelebA-HQ at 256x256; and 1024, 512, 256 for CIFAR-10, with
    `start=8` and `last=same`.

    Args:
        maps: Maps of the hidden layers; the last of them are used where an image needs fewer layers.
        start: Side of the first maps; none is the side of the image halved until it is 4 to 7.
        last: What the last layer does with the side: double it, by 4x4, or keep the same, by 3x3.
        slope: Slope of LeakyReLU for negative inputs.

    Raises:
        UsageError: if images are not square of a side that the layers reach, or a setting is out of range.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        maps: tuple[int, ...] = (1024, 512, 256, 128),
        start: int | None = None,
        last: Literal["double", "same"] = "double",
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        check("slope", slope, at_least=0, below=1)
        for width in maps:
            check("maps", width, at_least=1)
        if start is None or not square(outputs):  # which halvings refuses
            start = outputs[-1] >> halvings("deconvnet", outputs)
        check("start", start, at_least=1)
        doublings = max(0, round(math.log2(outputs[-1] / start)))
        hidden = doublings + (last == "same")
        if start << doublings != outputs[-1] or hidden < 1:
            raise UsageError(f"start={start} doubled does not reach the side of the images, {outputs[-1]} pixels")
        if hidden > len(maps):
            raise UsageError(f"images of {outputs[-1]} pixels need maps of {hidden} layers, not of {len(maps)}")
        self.latent = math.prod(inputs)
        used = maps[-hidden:]
        layers: list[nn.Module] = [nn.ConvTranspose2d(self.latent, used[0], start), nn.LeakyReLU(slope)]
        for before, after in pairwise(used):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(slope)]
        kernel, stride = (4, 2) if last == "double" else (3, 1)
        layers += [nn.ConvTranspose2d(used[-1], outputs[0], kernel, stride=stride, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Images `(B, channels, side, side)` in (-1, 1) of z `(B, *inputs)`."""
        images: Tensor = self.layers(z.reshape(-1, self.latent, 1, 1))
        return images
