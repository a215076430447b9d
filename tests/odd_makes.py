"""Energies with a state, a dtype, a backward pass or a factory of their own."""

import copy
import math
import threading
from typing import Any

import numpy as np
import torch
from network_makes import SHAPE, Wrapped
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


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


class NumpyBackward(torch.autograd.Function):
    """x², whose gradient is computed by numpy: right, but without a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.from_numpy(2 * x.detach().numpy() * gradient.detach().numpy())


class BackByNumpy(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(NumpyBackward.apply(x))


class LastByNumpy(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return NumpyBackward.apply(super().forward(x))


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
