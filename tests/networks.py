"""Energies that the tests of acceleration share."""

import warnings

import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.resnet import ResNet
from ebmkit.errors import Notice
from ebmkit.interfaces import value_and_grad

SHAPE = (1, 8, 8)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def images(n: int = 16) -> Tensor:
    return torch.rand(n, *SHAPE, generator=rng()) * 2 - 1


def network() -> ConvNet:
    # A smooth activation: at a kink, rounding can turn a slope into another.
    torch.manual_seed(0)
    return ConvNet(SHAPE, width=4, activation="silu")


def low_precision(energy: nn.Module) -> Accelerated:
    return Accelerated(energy, precision="bf16")


def relative(approximate: Tensor, exact: Tensor) -> float:
    return float((approximate - exact).norm() / exact.norm())


def image_energy() -> nn.Module:
    torch.manual_seed(0)
    return ConvNet(SHAPE, width=4)


def residual_energy() -> nn.Module:
    torch.manual_seed(0)
    return ResNet(SHAPE, width=4, stages=2, blocks=1, spectral_norm=True)


class Attentive(nn.Module):
    """Has what the others have not: attention, normalisation, products of functions of x, a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 2, 2, stride=2)
        self.grouped = nn.Conv2d(2, 4, (3, 2), stride=(3, 2), padding=(1, 0), dilation=(2, 1), groups=2, bias=False)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(x.flatten(1, 2))
        mixed, _ = self.attention(rows, rows, rows)
        maps = nn.functional.leaky_relu(self.grouped(self.up(x)), 0.1)
        return (mixed * rows).sum((1, 2)) + (maps * maps.tanh()).mean((1, 2, 3)) + x.square().sum((1, 2, 3)).sqrt()


ENERGIES = {
    "convnet": image_energy,
    "smooth": network,
    "resnet": residual_energy,
    "attentive": Attentive,
    "column": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ELU(), nn.Linear(8, 1)),
}


class Tempered(nn.Module):
    """Has settings besides its weights: a number, a list, a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.beta, self.powers, self.shift, self.more = 1.0, [2], torch.zeros(2), {"shifts": [0.5]}
        self.scale, self.bend = nn.Parameter(torch.ones(())), nn.Softplus()

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.shift.to(x.dtype) - sum(self.more["shifts"])
        return self.beta / Temperature.value * self.scale * self.bend(sum(x.pow(power).sum(1) for power in self.powers))


class Temperature:
    """What a module looks up where no copy of it can see."""

    value = 1.0


def agree(fast, energy, x):
    """Whether the stand-in gives what the energy gives now, without a notice."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        found = fast.refreshed(energy).value_and_grad(x)
    return all(map(torch.allclose, found, value_and_grad(energy, x)))


class Counting(nn.Module):
    """Counts its passes, all copies together."""

    passes = 0

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        Counting.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        Counting.passes += 1
        return self.inner(x)


class Cancelling(nn.Module):
    """The small difference of two large sums: most of its value is rounding, which depends on the order of terms."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.layer = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        with torch.no_grad():
            self.layer.bias.fill_(1e4)

    def forward(self, x: Tensor) -> Tensor:
        maps = nn.functional.leaky_relu(self.layer(nn.functional.leaky_relu(self.first(x), 0.2)), 0.2)
        return maps.sum((1, 2, 3)) - 8 * 64 * 1e4


class Caching(nn.Module):
    """Computes a constant in its first pass, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(2, 1), None

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.arange(2.0).cos()
        return self.layer(x * self.table).squeeze(1)
