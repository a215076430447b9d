"""Whether a compiled program computes what was recorded: at fixed values, against the same in fp64.

The values are not the weights, so that the verdict is the same whatever these are.
"""

from typing import Any

import torch
from torch import Generator, Tensor
from torch.fx import Interpreter
from torch.utils._pytree import tree_map

from ebmkit.acceleration.replaying import Replay

DRAWS = 5  # of fixed values; each row of the results is judged by the median over them
MULTIPLE = 2  # times the error of the recorded passes, and the share below, that a program may be off by


class Wrong(Exception):
    """A program does not compute what was recorded."""


def hold(program: Replay, recorded: Replay, x: Tensor, dtype: torch.dtype) -> None:
    """Compare a program that nobody uses yet with the recorded passes in this type.

    Rounding turns the signs of a share of what LeakyReLU is given, about a unit roundoff u, and so the norm of a
    gradient by about sqrt(u). A turned sign can be nearly all of a row in a small network, but not of the same row at
    each draw; what a program gets wrong is wrong at each.

    Raises:
        Wrong: if it is farther from the results in fp64 than that explains.
    """
    draws = torch.stack([errors(program, recorded, x, seed) for seed in range(DRAWS)])
    program.outdate()
    share = (torch.finfo(dtype).eps / 2) ** 0.5
    for off, rough, size in draws.median(0).values:
        if not bool((off <= MULTIPLE * (rough.max() + share * size)).all()):
            raise Wrong("it gives other results than what was recorded")


def errors(program: Replay, recorded: Replay, x: Tensor, seed: int) -> Tensor:
    """Of each result and each row: how far the program is off, how far the recorded passes are, and its size."""
    rng = Generator().manual_seed(seed)
    given = [drawn(one, rng) for one in (x, *recorded.tensors)]
    program.put(given[1:])
    found, rough = program.run(given[0], *program.tensors), recorded.run(*given)
    exact = Exact(recorded.body).run(*[wide(one) for one in given])
    each = [(a - c, b - c, c) for a, b, c in zip(found, rough, exact, strict=True)]
    return torch.stack([torch.stack([one.reshape(len(x), -1).norm(dim=1) for one in three]) for three in each])


def drawn(tensor: Tensor, rng: Generator) -> Tensor:
    """Values of the size that weights have, in the form of `tensor`; what counts or masks stays."""
    if not tensor.is_floating_point():
        return tensor
    fan = tensor.numel() / min(tensor.shape[:2]) if tensor.ndim > 1 else 1.0
    return torch.empty_like(tensor).copy_(torch.randn(tensor.shape, generator=rng) / fan**0.5)


class Exact(Interpreter):
    """Runs a graph in fp64."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Run one operation, in fp64 also where it asks for another type."""
        args, kwargs = tree_map(wide, (args, kwargs))
        return super().call_function(target, args, kwargs)


def wide(value: Any) -> Any:
    """In place of tensors of a lower precision, and of their type, those of fp64."""
    if isinstance(value, torch.dtype) and value.is_floating_point:
        return torch.float64
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
