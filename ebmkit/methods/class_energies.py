"""Energies of examples of classes: E(x | y) = -f(x)[y], where f is a network with one output for each class."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class OfClasses(nn.Module):
    """E(x) = -log sum_y exp(f(x)[y]), the energy of examples whatever their class.

    Source: Grathwohl et al., ICLR 2020, eq. 5.

    Args:
        network: f, `(B, *shape) -> (B, classes)`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of examples `(B, *shape)`."""
        return -torch.logsumexp(self.network(x), 1)


class OfLabels(nn.Module):
    """E(x | y) = -f(x)[y], the energy of examples of given classes: example i has label i.

    Args:
        network: f, `(B, *shape) -> (B, classes)`.
        labels: The classes `(B,)`, on the device of the network.
        classes: How many classes there are.
    """

    chosen: Tensor

    def __init__(self, network: nn.Module, labels: Tensor, classes: int) -> None:
        super().__init__()
        self.network = network
        # A buffer, which the stand-in of the chains copies; it is no part of the state.
        self.register_buffer("chosen", functional.one_hot(labels, classes).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of examples `(B, *shape)`."""
        energy: Tensor = -(self.network(x) * self.chosen).sum(1)
        return energy
