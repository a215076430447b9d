"""A fully connected network from one shape to another."""

import math
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ebmkit.energies.activations import Activation, activation_layer
from ebmkit.errors import check


class Dense(nn.Module):
    """A fully connected network from inputs of any shape, flattened, to outputs of any shape.

    `depth` hidden layers of `width` units, an activation after each, and one linear layer, after which `output` may
    bound the values.

    Args:
        width: Units of each hidden layer.
        depth: How many hidden layers there are.
        activation: Activation between the layers.
        slope: Slope of leaky_relu for negative inputs.
        output: What follows the last layer: linear is nothing, tanh bounds the outputs to (-1, 1), as images are.

    Raises:
        UsageError: if a setting is outside its range.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        width: int = 128,
        depth: int = 2,
        activation: Activation = "silu",
        slope: float = 0.2,
        output: Literal["linear", "tanh"] = "linear",
    ) -> None:
        super().__init__()
        check("width", width, at_least=1)
        check("depth", depth, at_least=1)
        check("slope", slope, at_least=0, below=1)
        self.outputs = tuple(outputs)
        units = [math.prod(inputs), *[width] * depth]
        layers: list[nn.Module] = []
        for before, after in pairwise(units):
            layers += [nn.Linear(before, after), activation_layer(activation, slope)]
        layers.append(nn.Linear(width, math.prod(outputs)))
        self.layers = nn.Sequential(*layers, *([nn.Tanh()] if output == "tanh" else []))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs `(B, *outputs)` for inputs `(B, *inputs)`."""
        found: Tensor = self.layers(x.flatten(1))
        return found.view(-1, *self.outputs)
