"""Energy and gradient at points of one shape, by running again what was recorded once."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ebmkit.acceleration.capturing import Captured
from ebmkit.acceleration.folding import folded
from ebmkit.acceleration.packing import pack
from ebmkit.acceleration.recording import Unrecordable, record

Computation = Callable[[Tensor], tuple[Tensor, ...]]
Way = Literal["recorded", "packed", "compiled"]


class Replay:
    """A computation of one shape without autograd, and without what only the weights decide.

    Args:
        computation: What to record, on tensors that stay where they are.
        x: An argument of the shape that it will be called with.
        way: recorded runs the operations as they were; packed makes convolutions on a CPU ready for oneDNN; compiled
            has torch's compiler make one program of them, which on a GPU is captured.

    Raises:
        Unrecordable: if a computation on other numbers of this shape is another one.
    """

    def __init__(self, computation: Computation, x: Tensor, way: Way) -> None:
        recording = record(computation, x)
        if way == "packed":
            pack(recording)
        self.constants, body = folded(recording)
        self.tensors: tuple[Tensor, ...] = self.constants()
        self.captures = way == "compiled" and x.device.type == "cuda"
        self.run: Callable[..., tuple[Tensor, ...]] = body.forward
        if way == "compiled":
            self.run = torch.compile(body, dynamic=False, fullgraph=True)
        if self.captures:
            captured = Captured(self.run, x, self.tensors)
            self.run = lambda x, *tensors: captured(x)
        self.fresh = True
        check_other_numbers(self, computation, x)

    def outdate(self) -> None:
        """Say that the weights have changed."""
        self.fresh = False

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """The results at `x`, free of graphs."""
        if not self.fresh:
            self.refresh()
        return self.run(x, *self.tensors)

    def refresh(self) -> None:
        """Compute once more what the weights decide."""
        tensors = self.constants()
        if self.captures:
            for old, new in zip(self.tensors, tensors, strict=True):
                old.copy_(new)
        else:
            self.tensors = tensors
        self.fresh = True


def check_other_numbers(replay: Replay, computation: Computation, x: Tensor) -> None:
    """Compare with the computation itself where nothing was recorded: it may depend on what no operation shows.

    Raises:
        Unrecordable: if they differ by more than rounding.
    """
    other = 0.9 * x.roll(1, 0) + 0.05
    for mine, theirs in zip(replay(other), computation(other), strict=True):
        mine, theirs = (one.double().nan_to_num(posinf=0.0, neginf=0.0) for one in (mine, theirs))
        if mine.shape != theirs.shape or bool((mine - theirs).norm() > 0.05 * theirs.norm() + 1e-12):
            raise Unrecordable("with other numbers of this shape it does something else")
