"""Energy and gradient at points of one shape, by running again what was recorded once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from ebmkit.acceleration.capturing import Captured
from ebmkit.acceleration.folding import folded
from ebmkit.acceleration.packing import pack
from ebmkit.acceleration.recording import Recording, Unrecordable

Computation = Callable[[Tensor], tuple[Tensor, ...]]
Way = Literal["recorded", "packed", "compiled"]


class Replay:
    """A recording that is run again, without what only the weights decide.

    Args:
        recording: What was recorded; packing changes it.
        x: An argument of the shape that it will be called with.
        way: recorded runs the operations as they were; packed makes convolutions on a CPU ready for oneDNN; compiled
            has torch's compiler make one program of them, which on a GPU is captured.
    """

    def __init__(self, recording: Recording, x: Tensor, way: Way) -> None:
        if way == "packed":
            pack(recording)
        self.constants, body = folded(recording)
        self.tensors: tuple[Tensor, ...] = self.constants()
        self.captures = captures(way, x.device)
        self.run: Callable[..., tuple[Tensor, ...]] = body.forward
        if way == "compiled":
            self.run = torch.compile(body, dynamic=False, fullgraph=True)
        if self.captures:
            # New values are copied into these, which takes an element for each number.
            self.tensors = tuple(one.contiguous() if 0 in one.stride() else one for one in self.tensors)
            captured = Captured(self.run, x, self.tensors)
            self.run = lambda x, *tensors: captured(x)
        self.fresh = True

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


def captures(way: Way, device: torch.device) -> bool:
    """Whether a program is captured: a compiled one on a GPU."""
    return way == "compiled" and device.type == "cuda"


def check_other_numbers(
    replay: Replay, computation: Computation, x: Tensor, weights: Sequence[Tensor], tolerance: float
) -> None:
    """Compare with the computation itself at other examples and weights: it may depend on what no operation shows.

    Raises:
        Unrecordable: if they differ.
    """
    with other_numbers(weights):
        replay.outdate()
        other = 0.9 * x.roll(1, 0) + 0.1 * waves(x)
        pairs = list(zip(replay(other), computation(other), strict=True))
    replay.outdate()
    for mine, theirs in pairs:
        mine, theirs = (one.double().nan_to_num(posinf=0.0, neginf=0.0) for one in (mine, theirs))
        if mine.shape != theirs.shape or bool((mine - theirs).norm() > tolerance * theirs.norm() + 1e-12):
            raise Unrecordable("with other numbers of this shape it does something else")


@contextmanager
def other_numbers(weights: Sequence[Tensor]) -> Iterator[None]:
    """Change each number by up to a tenth, which keeps signs and zeros, and then put back what was there."""
    floats = [one for one in weights if one.is_floating_point()]
    before = [one.clone() for one in floats]
    try:
        for one in floats:
            one.mul_(1 + 0.1 * waves(one))
        yield
    finally:
        for one, kept in zip(floats, before, strict=True):
            one.copy_(kept)


def waves(x: Tensor) -> Tensor:
    """Numbers between -1 and 1 of the shape of `x`, no two neighbours alike."""
    return torch.arange(x.numel(), device=x.device, dtype=torch.float32).cos().view(x.shape).to(x.dtype)
