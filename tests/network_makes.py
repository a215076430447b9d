"""Energies of the layers and wrappers of torch; each is a class or function of the shape of one example."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

SHAPE = (1, 4, 4)


def network(shape: tuple[int, ...] = SHAPE, width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width), nn.SiLU(), nn.Linear(width, 1))


class Wrapped(nn.Module):
    """Holds another network."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.net = network(shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze(1)


def normed(norm: Any) -> Any:
    """A network with a norm of its weights."""

    def made(shape: tuple[int, ...]) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return nn.Sequential(nn.Flatten(), norm(nn.Linear(math.prod(shape), 4)), nn.SiLU(), nn.Linear(4, 1))

    return made


def batch_norm(shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.SiLU(), nn.Linear(16, 1))


def synchronised(shape: tuple[int, ...]) -> nn.Module:
    return nn.SyncBatchNorm.convert_sync_batchnorm(batch_norm(shape))


def dropout(shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(math.prod(shape), 4), nn.SiLU(), nn.Linear(4, 1))


def lazy(shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.SiLU(), nn.LazyLinear(1))


def compiled(shape: tuple[int, ...]) -> nn.Module:
    return torch.compile(network(shape), backend="aot_eager")  # type: ignore[return-value]


def scripted(shape: tuple[int, ...]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(network(shape))


def data_parallel(shape: tuple[int, ...]) -> nn.Module:
    return nn.DataParallel(network(shape))


class Tied(nn.Module):
    """Two layers have one weight."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        size = math.prod(shape)
        self.first, self.second, self.last = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, 1)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x.flatten(1)).tanh()).tanh())


class Fourier(nn.Module):
    """Complex weights."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, shape[1], shape[2] // 2 + 1, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (torch.fft.rfft2(x) * self.weight).abs().square().flatten(1).mean(1)


class Recurrent(nn.Module):
    """Reads the rows of an image."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.rows, self.last = nn.LSTM(shape[-1], 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.rows(x.flatten(1, 2))[0][:, -1])


class Gated(Recurrent):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.rows = nn.GRU(shape[-1], 4, 2, batch_first=True, dropout=0.2)


class PerExample(nn.Module):
    """Functions of one example, mapped over the batch and differentiated."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(math.prod(shape), 4), nn.Linear(4, 1)

    def one(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.flatten()).tanh()).squeeze()

    def forward(self, x: Tensor) -> Tensor:
        slopes = torch.vmap(torch.func.grad(self.one))(x)
        return torch.vmap(self.one)(x) + slopes.flatten(1).square().sum(1)


class SquaredSlope(Wrapped):
    """Half the squared norm of the gradient of a network."""

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.requires_grad else x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.net(x).sum(), x, create_graph=True)
        return slope.flatten(1).square().sum(1) / 2


class Attentive(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.rows, self.last = nn.Linear(shape[-1], 8), nn.Linear(8, 1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x.flatten(1, 2))
        return self.last((rows + self.attention(rows, rows, rows, need_weights=False)[0]).tanh()).mean(1)


class Transformer(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer, self.last = nn.TransformerEncoderLayer(shape[-1], 2, 8, batch_first=True), nn.Linear(shape[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x.flatten(1, 2))).mean(1)
