"""A fully connected network for points and other small examples."""

import math
from itertools import pairwise

from torch import Tensor, nn

from ebmkit.energies.activations import PIECEWISE_LINEAR, Activation, activation_layer
from ebmkit.errors import check
from ebmkit.interfaces import Energy


class MLP(Energy):
    """A fully connected network on examples of any shape, flattened.

    `depth` hidden layers of `width` units, an activation after each, and one linear output.

    Source: the usual network for toy densities in two dimensions; the default values are ours.

    Args:
        width: Units of each hidden layer.
        depth: How many hidden layers there are.
        activation: Activation between the layers.
        slope: Slope of leaky_relu for negative inputs.

    Raises:
        UsageError: if a setting is outside its range.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 128,
        depth: int = 3,
        activation: Activation = "silu",
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.piecewise_linear = activation in PIECEWISE_LINEAR
        check("width", width, at_least=1)
        check("depth", depth, at_least=1)
        check("slope", slope, at_least=0, below=1)
        units = [math.prod(shape), *[width] * depth]
        layers: list[nn.Module] = []
        for before, after in pairwise(units):
            layers += [nn.Linear(before, after), activation_layer(activation, slope)]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of examples `(B, *shape)`."""
        energy: Tensor = self.layers(x.flatten(1))
        return energy.squeeze(1)
