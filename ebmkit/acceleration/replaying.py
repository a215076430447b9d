"""Energy and gradient at points of one shape, by running again what was recorded once."""

import threading
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from ebmkit.acceleration.capturing import Captured
from ebmkit.acceleration.folding import folded
from ebmkit.acceleration.packing import pack
from ebmkit.acceleration.recording import Recording

Way = Literal["recorded", "packed", "compiled"]


class Replay:
    """A recording that is run again, without what only the weights decide.

    Several threads may call it at once.

    Args:
        recording: What was recorded.
        x: An argument of the shape that it will be called with.
        way: recorded runs the operations as they were; packed makes convolutions on a CPU ready for oneDNN; compiled
            has torch's compiler make one program of them, which on a GPU is captured.
    """

    def __init__(self, recording: Recording, x: Tensor, way: Way) -> None:
        if way == "packed":
            recording = recording.copy()
            pack(recording)
        self.constants, self.body = folded(recording)
        self.tensors: tuple[Tensor, ...] = self.constants()
        self.captures = captures(way, x.device)
        self.run: Callable[..., tuple[Tensor, ...]] = self.body.forward
        if way == "compiled":
            self.run = torch.compile(self.body, dynamic=False, fullgraph=True)
        if self.captures:
            # New values are copied into these: they are nobody else's, and have an element for each number.
            self.tensors = tuple(one.clone() for one in self.tensors)
            captured = Captured(self.run, x, self.tensors)
            self.run = lambda x, *tensors: captured(x)
        self.fresh, self.lock = True, threading.Lock()

    def outdate(self) -> None:
        """Say that the weights have changed."""
        self.fresh = False

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """The results at `x`, free of graphs."""
        if not self.fresh:
            with self.lock:
                if not self.fresh:
                    self.put(self.constants())
                    self.fresh = True
        return self.run(x, *self.tensors)

    def put(self, tensors: Sequence[Tensor]) -> None:
        """Compute with these in place of what the weights gave."""
        if self.captures:
            for old, new in zip(self.tensors, tensors, strict=True):
                old.copy_(new)
        else:
            self.tensors = tuple(tensors)


def captures(way: Way, device: torch.device) -> bool:
    """Whether a program is captured: a compiled one on a GPU."""
    return way == "compiled" and device.type == "cuda"
