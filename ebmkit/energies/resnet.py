"""A residual network for images, without normalisation across examples."""

from itertools import pairwise

from torch import Tensor, nn

from ebmkit.energies.activations import PIECEWISE_LINEAR, Activation, activation_layer
from ebmkit.energies.spectral import bound_layers
from ebmkit.errors import UsageError, check
from ebmkit.interfaces import Energy


class ResNet(Energy):
    """A residual network on images of any height and width that `2**stages` divides.

    A 3x3 convolution to `width` maps; then stages of residual blocks, the first with `width` maps and the others
    with twice as many, each of which halves the image once; an activation, the sum over the image, and one linear
    output. There is no batch normalisation: the energy of an example must not depend on the rest of the batch.

    Source: the CIFAR-10 network of IGEBM (Du & Mordatch, NeurIPS 2019), which has width 128, 3 stages of 2 blocks,
    leaky_relu and spectral normalisation.

    Args:
        width: Maps of the first stage; the later stages have twice as many.
        stages: How many times the image is halved.
        blocks: Residual blocks in each stage.
        activation: Activation between the layers.
        slope: Slope of leaky_relu for negative inputs.
        spectral_norm: Whether each layer's weight, as a matrix, is divided by its largest singular value.
        spectral_bound: Upper bound on the largest singular value of each layer's weight; none leaves it unbounded.

    Raises:
        UsageError: if examples are not images whose sides are multiples of `2**stages`, or a setting is out of range.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 64,
        stages: int = 3,
        blocks: int = 2,
        activation: Activation = "leaky_relu",
        slope: float = 0.2,
        spectral_norm: bool = False,
        spectral_bound: float | None = None,
    ) -> None:
        super().__init__()
        self.piecewise_linear = activation in PIECEWISE_LINEAR
        check("width", width, at_least=1)
        check("stages", stages, at_least=1)
        check("blocks", blocks, at_least=1)
        check("slope", slope, at_least=0, below=1)
        unit = 2**stages
        if len(shape) != 3 or shape[1] % unit or shape[2] % unit:
            raise UsageError(
                f"resnet with {stages} stages takes images whose height and width are multiples of {unit}, (channels, "
                f"height, width), not examples of shape {tuple(shape)}; fit image data with: "
                f"-s data.size={unit * max(1, 32 // unit)} -s data.fit=pad|resize"
            )
        channels = [width, width, *[2 * width] * (stages - 1)]
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1)]
        for before, after in pairwise(channels):
            layers += [Block(before, after, activation, slope), nn.AvgPool2d(2)]
            layers += [Block(after, after, activation, slope) for _ in range(blocks - 1)]
        self.layers = nn.Sequential(*layers, activation_layer(activation, slope))
        self.output = nn.Linear(channels[-1], 1)
        bound_layers(self, spectral_norm, spectral_bound)

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of images `(B, channels, height, width)`."""
        maps: Tensor = self.layers(x)
        energy: Tensor = self.output(maps.sum(dim=(2, 3)))
        return energy.squeeze(1)


class Block(nn.Module):
    """Two 3x3 convolutions, an activation before each, added to the input (through a 1x1 if the maps change)."""

    def __init__(self, before: int, after: int, activation: Activation, slope: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            activation_layer(activation, slope),
            nn.Conv2d(before, after, 3, padding=1),
            activation_layer(activation, slope),
            nn.Conv2d(after, after, 3, padding=1),
        )
        self.skip: nn.Module = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, before, height, width)` to `(B, after, height, width)`."""
        skip: Tensor = self.skip(x)
        branch: Tensor = self.branch(x)
        return skip + branch
