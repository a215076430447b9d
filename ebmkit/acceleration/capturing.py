"""A computation on a GPU as one captured graph: one launch in place of one for each operation."""

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Captured:
    """`body(x, *tensors)`, captured once and replayed: the same kernels on the same memory.

    The tensors must stay where they are; new values are copied into them. Threads that share a stream take turns.

    Args:
        body: What to capture; it may not wait for the device.
        x: An argument of the shape that it will be called with.
        tensors: The rest of the arguments.
    """

    def __init__(self, body: Callable[..., tuple[Tensor, ...]], x: Tensor, tensors: tuple[Tensor, ...]) -> None:
        self.lock = threading.Lock()
        with torch.cuda.device(x.device):
            self.capture(body, x.clone(), tensors)

    def capture(self, body: Callable[..., tuple[Tensor, ...]], x: Tensor, tensors: tuple[Tensor, ...]) -> None:
        """Run `body` a few times, then capture it."""
        self.x = x
        # What is set up at a first call, as the choice of a kernel, must not be captured.
        side = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(side):
            for _ in range(3):
                body(self.x, *tensors)
        torch.cuda.current_stream(x.device).wait_stream(side)
        self.graph: Any = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.results = body(self.x, *tensors)

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """The results, in memory of their own."""
        with self.lock:
            self.x.copy_(x)
            self.graph.replay()
            return tuple(result.clone() for result in self.results)
