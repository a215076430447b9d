"""Energies of every make that users write; each is a class or function of the shape of one example."""

import copy
import math
import threading
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

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


class Checkpointed(Wrapped):
    """Recomputes its layers in the backward pass."""

    reentrant = False

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.net, x, use_reentrant=self.reentrant)


class Reentrant(Checkpointed):
    reentrant = True


class Frozen(Wrapped):
    """Only its last layer is trained."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.net[1].requires_grad_(False)


class Double(Wrapped):
    """Computes in double precision."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.net.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.double())


class OnDouble(Double):
    """Takes only examples in double precision."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Half(Wrapped):
    """Has weights in bfloat16."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.net.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.bfloat16()).float()


class Counting(Wrapped):
    """Counts its calls in a buffer."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Caching(Wrapped):
    """Computes a constant in its first pass."""

    table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.linspace(0.5, 1.5, x.shape[-1])
        return super().forward(x * self.table)


class Branching(Wrapped):
    """Its operations depend on its values."""

    def forward(self, x: Tensor) -> Tensor:
        value = super().forward(x)
        return value * 2 if bool(value.sum() > 0) else value


class ExtraState(Wrapped):
    scale: Any = 1.5

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float(self.scale)

    def get_extra_state(self) -> Any:
        return {"scale": self.scale}

    def set_extra_state(self, state: Any) -> None:
        self.scale = state["scale"]


class NumpyState(ExtraState):
    scale = np.float64(1.5)


class LateState(ExtraState):
    """Its state has another type once it was trained."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale = np.float32(1.25)
        return super().forward(x)


class ForgetfulState(ExtraState):
    """Does not restore its state."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.scale = 1.5

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale = 2.5
        return super().forward(x)

    def set_extra_state(self, state: Any) -> None:
        pass


class Growing(Wrapped):
    """Registers a buffer in training that a new energy lacks."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not hasattr(self, "mean"):
            self.register_buffer("mean", x.detach().mean(0))
        return super().forward(x)


class Unregistered(Wrapped):
    """Depends on values that its state does not hold."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.tilt = torch.from_numpy(np.random.default_rng().normal(size=shape[-1])).float()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.tilt)


class Once(torch.autograd.Function):
    """x², with a gradient that has no gradient itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class OnceDifferentiable(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(Once.apply(x))


class Locked(Wrapped):
    """Cannot be copied."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.lock = threading.Lock()


class Strided(Wrapped):
    """Its weights are not contiguous."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.net[1].weight = nn.Parameter(torch.randn(math.prod(shape), 4).T)


class Sparse(Wrapped):
    """Has a weight that is stored as a sparse tensor."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.mix = nn.Parameter(torch.eye(math.prod(shape)).to_sparse())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.sparse.mm(self.mix, x.flatten(1).T).T)


class Hooked(Wrapped):
    """Has a hook that is a function of its own."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.net.register_forward_hook(lambda module, given, value: 2 * value)


class ByNumpy(Wrapped):
    """Leaves torch on the way."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(np.tanh(x.detach().numpy())))


ONE = Wrapped(SHAPE)


def one_object(shape: tuple[int, ...]) -> nn.Module:
    return ONE


def a_copy_each_time(shape: tuple[int, ...]) -> nn.Module:
    return copy.deepcopy(ONE)


# What each make cannot do, and in which words it is refused; what is not named works.
MAKES: dict[str, tuple[Any, dict[str, str]]] = {
    "network": (network, {}),
    "wrapped": (Wrapped, {}),
    "batch norm": (batch_norm, {}),
    "synchronised batch norm": (synchronised, {}),
    "dropout": (dropout, {}),
    "weight norm, old": (normed(nn.utils.weight_norm), {}),
    "weight norm, new": (normed(parametrizations.weight_norm), {}),
    "spectral norm, old": (normed(nn.utils.spectral_norm), {}),
    "spectral norm, new": (normed(parametrizations.spectral_norm), {}),
    "lazy": (lazy, {}),
    "compiled": (compiled, {}),
    "scripted": (scripted, {}),
    "data parallel": (data_parallel, {}),
    "tied": (Tied, {}),
    "complex": (Fourier, {}),
    "LSTM": (Recurrent, {}),
    "GRU with dropout": (Gated, {}),
    "torch.func": (PerExample, {}),
    "differentiates itself": (SquaredSlope, {}),
    "attention": (Attentive, {}),
    "transformer": (Transformer, {}),
    "checkpointed": (Checkpointed, {}),
    "checkpointed, reentrant": (Reentrant, {"train": "gives no value and gradient.*use_reentrant"}),
    "partly frozen": (Frozen, {}),
    "double inside": (Double, {}),
    "double only": (OnDouble, {"train": "cannot take examples"}),
    "bfloat16 inside": (Half, {}),
    "counting buffer": (Counting, {}),
    "caching": (Caching, {}),
    "branching": (Branching, {}),
    "extra state": (ExtraState, {"export": "holds tensors, not dict"}),
    "extra state of numpy": (NumpyState, {"train": r"_extra_state\.scale is a numpy\.float64"}),
    "extra state of numpy, later": (LateState, {"train": r"_extra_state\.scale is a numpy\.float32"}),
    "extra state forgotten": (ForgetfulState, {"train": r"is not restored: it\['_extra_state'\]\['scale'\]"}),
    "growing": (Growing, {"train": "cannot be restored: .*mean"}),
    "unregistered": (Unregistered, {"train": "has other values after"}),
    "differentiable once": (OnceDifferentiable, {"reconstruct": "needs the second derivative"}),
    "not to be copied": (Locked, {"average": "train.average needs a copy of energy"}),
    "strided weights": (Strided, {}),
    "sparse weights": (Sparse, {"train": "cannot be trained"}),
    "hooked": (Hooked, {}),
    "by numpy": (ByNumpy, {"train": "does not depend on x through autograd"}),
    "one object": (one_object, {}),
    "a copy each time": (a_copy_each_time, {}),
}
