"""Affine couplings: the step of RealNVP and Glow, and the flow of such steps for vectors."""

import math

import torch
from torch import Tensor, nn

from ebmkit import UsageError, check
from ebmkit_neural_transport.flow import Flow


class AffineCoupling(nn.Module):
    """Keeps the first elements of axis 1, `a`, and maps the others: `b' = b exp(s(a)) + t(a)`.

    Args:
        network: Maps a to `(s, t)`, joined on axis 1; s is then bounded.
        kept: How many elements are kept.
        bound: The largest |s|.
    """

    def __init__(self, network: nn.Module, kept: int, bound: float) -> None:
        super().__init__()
        self.network, self.kept, self.bound = network, kept, bound

    def push(self, z: Tensor) -> Tensor:
        """The step."""
        a, b = z[:, : self.kept], z[:, self.kept :]
        s, t = self.terms(a)
        return torch.cat([a, b * s.exp() + t], 1)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Its inverse, and the log determinant of that, `(B,)`."""
        a, b = y[:, : self.kept], y[:, self.kept :]
        s, t = self.terms(a)
        return torch.cat([a, (b - t) * (-s).exp()], 1), -s.flatten(1).sum(1)

    def terms(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithm of the scale, within the bound, and the shift."""
        s, t = self.network(a).chunk(2, 1)
        return self.bound * torch.tanh(s / self.bound), t


def zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """A layer whose outputs are 0 at first, so that a coupling begins as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class CouplingFlow(Flow):
    """Affine couplings with dense networks, for points and other small examples, flattened.

    The halves of the vector take turns: of two couplings in a row one maps the second half and one the first. The
    halves are of neighbours in two couplings, and of every second element in the next two. Scales are bounded, so that
    no weights can make the flow explode.

    Source: Dinh, Sohl-Dickstein, Bengio, ICLR 2017 (RealNVP), equations 7 and 8; the default values are ours.

    Args:
        layers: How many couplings there are.
        width: Units of the two hidden layers of each.
        bound: Largest logarithm of the scale of one coupling.

    Raises:
        UsageError: if a setting is out of range, or examples have only one element.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        layers: int = 8,
        width: int = 64,
        bound: float = 2.0,
    ) -> None:
        super().__init__(inputs, outputs)
        check("layers", layers, at_least=1)
        check("width", width, at_least=1)
        check("bound", bound, above=0)
        d = math.prod(self.shape)
        if d < 2:
            raise UsageError("coupling-flow needs examples of at least 2 elements; use affine-flow or spline-flow")
        kept = d - d // 2
        self.steps = nn.ModuleList()
        for index in range(layers):
            order = torch.arange(d)
            if index // 2 % 2:
                order = torch.cat([order[::2], order[1::2]])
            order = order.flip(0) if index % 2 else order
            network = nn.Sequential(
                nn.Linear(kept, width),
                nn.SiLU(),
                nn.Linear(width, width),
                nn.SiLU(),
                zeroed(nn.Linear(width, 2 * (d - kept))),
            )
            step = AffineCoupling(network, kept, bound)
            step.register_buffer("order", order)
            step.register_buffer("place", order.argsort())
            self.steps.append(step)

    def push(self, z: Tensor) -> Tensor:
        """All couplings, one after another."""
        y = z.flatten(1)
        for step in self.steps:
            y = step.push(y[:, step.order])[:, step.place]
        return y.view(-1, *self.shape)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Their inverses, from the last to the first."""
        z, total = y.flatten(1), y.new_zeros(len(y))
        for step in reversed(self.steps):
            z, logarithm = step.pull(z[:, step.order])
            z, total = z[:, step.place], total + logarithm
        return z.view(-1, *self.shape), total
