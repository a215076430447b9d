"""Networks that know the noise level of their input, by a sinusoidal embedding of its number."""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

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


def check_embedding(width: int, name: str = "embedding") -> None:
    """Refuse a number of sines and cosines that is odd, or below 4.

    Raises:
        UsageError: in this case.
    """
    check(name, width, at_least=4)
    if width % 2:
        raise UsageError(f"{name} must be even, not {width}: half of it are sines of the level, half are cosines")
