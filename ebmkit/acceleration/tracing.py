"""Which operations a computation runs, on what: two traces show whether two computations are the same.

Values that are computed do not count, so that no rounding does either. What counts: the operations in their order, the
numbers that they are given besides, which results go where, and the tensors that were there before, bit for bit.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation below autograd while it is entered.

    Args:
        given: Tensors that stand for their place in this list, whatever their values: arguments, weights, buffers.
    """

    def __init__(self, given: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[tuple[Any, ...]] = []
        # Tensors that were there before, as they were then: they may be written to later.
        self.held: list[Tensor] = []
        # A tensor is known by its id, which is its own only while it is alive.
        self.alive = list(given)
        self.places = {id(one): place for place, one in enumerate(given)}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise torch imports its compiler, which takes two seconds, to keep it away from the next method.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.steps.append((func, self.place(args), self.place(kwargs)))
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, list | tuple) else (result,):
            if isinstance(one, Tensor):
                self.places[id(one)] = len(self.alive)
                self.alive.append(one)
        return result

    def place(self, value: Any) -> Any:
        """Where the tensors in an argument come from; else the argument."""
        if isinstance(value, Tensor):
            if id(value) not in self.places:
                self.places[id(value)] = len(self.alive)
                self.alive.append(value)
                self.held.append(value.detach().clone())
            return Tensor, self.places[id(value)]
        if isinstance(value, list | tuple):
            return tuple([self.place(one) for one in value])
        if isinstance(value, dict):
            return tuple([(key, self.place(one)) for key, one in value.items()])
        return value


def alike(one: Trace, other: Trace) -> bool:
    """Whether two computations ran the same operations on the same."""
    same = one.steps == other.steps and len(one.held) == len(other.held)
    return same and all(map(identical, one.held, other.held))


def identical(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same values, NaN at the same places included."""
    same = one.shape == other.shape and one.dtype == other.dtype and one.device == other.device
    return same and bool(((one == other) | ((one != one) & (other != other))).all())
