"""Networks that know the noise level of their input, by a sinusoidal embedding of its number."""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalised

from ebmkit import UsageError, check

SLOPE = 0.2  # of LeakyReLU for negative inputs
PERIOD = 10_000.0  # the longest period of an embedding, in units of 2 pi levels


class LevelNetwork(nn.Module, ABC):
    """A network f(x, t) of inputs at several noise levels; built as `Network(inputs, outputs, *, settings...)`.

    One that a package brings for the method `recovery-likelihood` derives from this class.
    """

    @abstractmethod
    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        """Outputs `(B, *outputs)` for inputs `(B, *inputs)`.

        Args:
            x: The inputs.
            level: The level of each, whole numbers `(B,)`; None is 0, the lowest, for all.
        """


class Embedding(nn.Module):
    """`W2 act(W1 s(t))`, of the sines and cosines s of a level at `width // 2` frequencies.

    Source: Vaswani et al., NeurIPS 2017, section 3.5, with the frequencies of the code of Gao et al., ICLR 2021: from
    1 to 1 / 10,000, geometrically.

    Args:
        width: How many sines and cosines there are; even, at least 4.
        outputs: Length of the embedding.
        activation: Between the layers.
    """

    frequencies: Tensor

    def __init__(self, width: int, outputs: int, activation: nn.Module) -> None:
        super().__init__()
        half = width // 2
        self.register_buffer("frequencies", PERIOD ** -(torch.arange(half) / (half - 1)), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * half, outputs), activation, nn.Linear(outputs, outputs), activation)

    def forward(self, x: Tensor, level: Tensor | None) -> Tensor:
        """The embeddings `(B, outputs)` of the levels `(B,)` of the inputs `x`."""
        angles = x.new_zeros(len(x), 1) if level is None else level.to(x.dtype).unsqueeze(1)
        angles = angles * self.frequencies
        found: Tensor = self.layers(torch.cat([angles.sin(), angles.cos()], 1))
        return found


class LevelDense(LevelNetwork):
    """A fully connected network on inputs of any shape, flattened, for points and other small examples.

    Each of `depth` hidden layers is `h' = act(W h + U e)`, of `width` units, with the embedding e of the level; the
    output is linear in `h * V e`.

    Source: ours; the product with the embedding is that of the network of Gao et al., ICLR 2021.

    Args:
        width: Units of each hidden layer.
        depth: How many hidden layers there are.
        embedding: Sines and cosines of the level.
        activation: Activation after each hidden layer; leaky_relu, of slope 0.2, learns narrow modes sooner.

    Raises:
        UsageError: if a setting is outside its range.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        width: int = 128,
        depth: int = 3,
        embedding: int = 32,
        activation: Literal["silu", "leaky_relu"] = "silu",
    ) -> None:
        super().__init__()
        check("width", width, at_least=1)
        check("depth", depth, at_least=1)
        check_embedding(embedding)
        self.outputs = tuple(outputs)
        units = [math.prod(inputs), *[width] * (depth - 1)]
        self.embedding = Embedding(embedding, width, nn.SiLU())
        self.activation = nn.SiLU() if activation == "silu" else nn.LeakyReLU(SLOPE)
        self.layers = nn.ModuleList(nn.Linear(before, width) for before in units)
        self.shifts = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in units)
        self.gate = nn.Linear(width, width)
        self.last = nn.Linear(width, math.prod(outputs))

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        """Outputs `(B, *outputs)` for inputs `(B, *inputs)` at the levels `(B,)`; None is the lowest."""
        e, h = self.embedding(x, level), x.flatten(1)
        for layer, shift in zip(self.layers, self.shifts, strict=True):
            h = self.activation(layer(h) + shift(e))
        found: Tensor = self.last(h * self.gate(e))
        return found.view(-1, *self.outputs)


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


def check_embedding(width: int, name: str = "embedding") -> None:
    """Refuse a number of sines and cosines that is odd, or below 4.

    Raises:
        UsageError: in this case.
    """
    check(name, width, at_least=4)
    if width % 2:
        raise UsageError(f"{name} must be even, not {width}: half of it are sines of the level, half are cosines")
