"""The convolutions of the paper's network, with any outputs."""

import math

from torch import Tensor, nn

from ebmkit.energies.activations import Activation
from ebmkit.energies.stages import convolutions


class ConvNet(nn.Module):
    """The layers of the energy `convnet` from square images to outputs of any shape, like the logits of classes.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019; see `ebmkit.energies.convnet.ConvNet`.

    Args:
        width: Maps of the first layer, the paper's n_f.
        activation: Activation between the layers.
        slope: Slope of leaky_relu for negative inputs.

    Raises:
        UsageError: if images are not square of 8, 16, 32, 64 or 128 pixels, or a setting is out of range.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        width: int = 32,
        activation: Activation = "leaky_relu",
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.outputs = tuple(outputs)
        self.layers = convolutions(inputs, math.prod(outputs), width, activation, slope)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs `(B, *outputs)` for images `(B, *inputs)`."""
        found: Tensor = self.layers(x)
        return found.view(-1, *self.outputs)
