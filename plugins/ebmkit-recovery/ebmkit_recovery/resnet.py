"""A residual network on images that knows the noise level of its input."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalised

from ebmkit import UsageError, check
from ebmkit_recovery.network import SLOPE, Embedding, LevelNetwork, check_embedding


class LevelResNet(LevelNetwork):
    """A residual network on images whose sides `2 ** (stages - 1)` divides.

    A 3x3 convolution to `width` maps; then stages of residual blocks, the first with `width` maps and the others with
    twice as many, with an average pooling by 2 between them; a ReLU and the sum over the image. The output is linear
    in the product of this sum with a linear map of the embedding of the level.

    Source: Gao et al., ICLR 2021; its code, `network.py`, has width 128, 4 stages of 2 blocks (8 for CIFAR-10), four
    times `width` units in the embedding, and spectral normalisation of all layers except those after the sum.

    Args:
        width: Maps of the first stage, and sines and cosines of the level.
        stages: How many sizes of the image there are.
        blocks: Residual blocks in each stage.
        spectral_norm: Whether the weight of each layer, as a matrix, is divided by its largest singular value.

    Raises:
        UsageError: if inputs are not images whose sides are multiples of `2 ** (stages - 1)`, or a setting is out of
            range.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        width: int = 32,
        stages: int = 2,
        blocks: int = 2,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        check_embedding(width, "width")
        check("stages", stages, at_least=1)
        check("blocks", blocks, at_least=1)
        unit = 2 ** (stages - 1)
        if len(inputs) != 3 or inputs[1] % unit or inputs[2] % unit:
            raise UsageError(
                f"level-resnet with {stages} stages takes images (channels, height, width) whose sides are multiples "
                f"of {unit}, not examples of shape {tuple(inputs)}; for points choose level-dense"
            )
        self.outputs = tuple(outputs)
        maps = [width, *[2 * width] * (stages - 1)]
        self.embedding = Embedding(width, 4 * width, nn.LeakyReLU(SLOPE))
        self.first = nn.Conv2d(inputs[0], width, 3, padding=1)
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(before if number == 0 else after, after, 4 * width) for number in range(blocks))
            for before, after in zip([width, *maps], maps, strict=False)
        )
        if spectral_norm:
            for layer in [one for one in self.modules() if isinstance(one, nn.Conv2d | nn.Linear)]:
                normalised(layer)
        self.gate = nn.Linear(4 * width, maps[-1])
        self.last = nn.Linear(maps[-1], math.prod(outputs), bias=False)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        """Outputs `(B, *outputs)` for images `(B, *inputs)` at the levels `(B,)`; None is the lowest."""
        e, h = self.embedding(x, level), self.first(x)
        for number, stage in enumerate(self.stages):
            h = h if number == 0 else nn.functional.avg_pool2d(h, 2)
            for block in stage:
                h = block(h, e)
        found: Tensor = self.last(h.relu().sum(dim=(2, 3)) * self.gate(e))
        return found.view(-1, *self.outputs)


class Block(nn.Module):
    """Two 3x3 convolutions, a LeakyReLU before each, added to the input (through a 3x3 if the maps change).

    The embedding of the level is added between them, and a learned factor of each map follows the second.
    """

    def __init__(self, before: int, after: int, embedding: int) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(maps, after, 3, padding=1) for maps in (before, after))
        self.shift = nn.Linear(embedding, after)
        self.factor = nn.Parameter(torch.ones(after, 1, 1))
        self.skip: nn.Module = nn.Identity() if before == after else nn.Conv2d(before, after, 3, padding=1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Maps `(B, before, height, width)` and embeddings `(B, embedding)` to `(B, after, height, width)`."""
        h = self.one(nn.functional.leaky_relu(x, SLOPE)) + self.shift(e)[:, :, None, None]
        branch = self.factor * self.two(nn.functional.leaky_relu(h, SLOPE))
        skip: Tensor = self.skip(x)
        return skip + branch
