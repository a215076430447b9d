"""Convolutions as autograd runs them and as oneDNN likes them best, and whether the second computes the first.

The operations of oneDNN are those that torch's own compiler puts in for convolutions on a CPU. They are no public
functions of torch, and for some shapes on some CPUs they have been wrong. So each is held to what it replaces, by
itself: at the shapes at hand and at fixed values, so that the verdict is the same whatever the weights are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

aten, mkldnn = torch.ops.aten, torch.ops.mkldnn

# Either runs an operation on tensors, or puts it into a graph.
Call = Callable[[Any, tuple[Any, ...]], Any]
LARGEST = 2  # of the whole numbers that operations are compared at
ROUNDOFF = 2.0**-24  # unit roundoff of fp32, in which products are summed for bf16 too


@dataclass(frozen=True)
class Form:
    """What is known of a tensor before it is there."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Convolution:
    """A two-dimensional convolution of tensors of these forms.

    Attributes:
        x: What it is given.
        weight: Its weight.
        result: What it gives, or the gradient of that.
        biased: Whether a bias is added.
        slope: That of the LeakyReLU which follows; None where none does.
    """

    x: Form
    weight: Form
    result: Form
    biased: bool
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    slope: float | None = None

    @property
    def places(self) -> tuple[Any, ...]:
        """How the kernel moves, in the order of oneDNN's operations."""
        return list(self.padding), list(self.stride), list(self.dilation), self.groups

    @property
    def rest(self) -> list[int]:
        """Rows and columns of x that no place of the kernel reaches."""
        moves = zip(
            self.x.shape[2:],
            self.result.shape[2:],
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        return [
            size - ((steps - 1) * stride - 2 * pad + spread * (kernel - 1) + 1)
            for size, steps, kernel, stride, pad, spread in moves
        ]

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What autograd runs forward."""
        padding, stride, dilation, groups = self.places
        result: Tensor = aten.convolution(x, weight, bias, stride, padding, dilation, False, [0, 0], groups)
        return result if self.slope is None else F.leaky_relu(result, self.slope)

    def packed(self, call: Call, x: Any, weight: Any, bias: Any) -> Any:
        """The same by oneDNN, with its weight reordered and LeakyReLU inside."""
        shape = list(self.x.shape)
        weight = call(mkldnn._reorder_convolution_weight.default, (weight, *self.places, shape))
        activation = ("none", [], "") if self.slope is None else ("leaky_relu", [self.slope], "")
        return call(mkldnn._convolution_pointwise.default, (x, weight, bias, *self.places, *activation))

    def plain_backward(self, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """What autograd runs for the gradient of x."""
        padding, stride, dilation, groups = self.places
        wanted = [True, False, False]
        slope: Tensor = aten.convolution_backward(
            gradient, x, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted
        )[0]
        return slope

    def packed_backward(self, call: Call, gradient: Any, weight: Any) -> Any:
        """The same by oneDNN."""
        padding, *moves = self.places
        places, shape = (padding, self.rest, *moves), list(self.result.shape)
        weight = call(mkldnn._reorder_convolution_transpose_weight.default, (weight, *places, shape))
        target = mkldnn._convolution_transpose_pointwise.default
        return call(target, (gradient, weight, None, *places, "none", [], ""))


@lru_cache(maxsize=1024)
def forward_holds(layer: Convolution, threads: int) -> bool:
    """Whether the packed convolution gives what the plain one does, on this many threads."""
    bias = whole(layer.result.shape[1:2], 2) if layer.biased else None

    def packed(x: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = layer.packed(run, x, weight, None if bias is None else bias.to(x.dtype))
        return result

    def plain(x: Tensor, weight: Tensor) -> Tensor:
        return layer.plain(x, weight, bias)

    return same(packed, plain, layer.x, layer.weight, prod(layer.weight.shape[1:]) + 1)


@lru_cache(maxsize=1024)
def backward_holds(layer: Convolution, threads: int) -> bool:
    """The same of the gradient of x."""

    def packed(gradient: Tensor, weight: Tensor) -> Tensor:
        slope: Tensor = layer.packed_backward(run, gradient, weight)
        return slope

    def plain(gradient: Tensor, weight: Tensor) -> Tensor:
        return layer.plain_backward(gradient, torch.empty(layer.x.shape), weight)

    terms = prod(layer.weight.shape) // (layer.weight.shape[1] * layer.groups)
    return same(packed, plain, layer.result, layer.weight, terms)


def same(
    packed: Callable[[Tensor, Tensor], Tensor],
    plain: Callable[[Tensor, Tensor], Tensor],
    x: Form,
    weight: Form,
    terms: int,
) -> bool:
    """Whether two operations that sum `terms` products differ by rounding at most, in each element.

    Sums of whole numbers below 2^24 are exact in fp32, so that the plain operation in fp32 is a reference for bf16 too.
    The bound is what such a sum may be off by, in any order, in either operation, and two roundings of
    the result to its type: one of the sum and one of its product with the slope.
    """
    try:
        one, other = laid(whole(x.shape, 0), x), laid(whole(weight.shape, 1), weight)
        exact = plain(one.float(), other.float())
        bound = 2 * terms * ROUNDOFF * terms * LARGEST**2 + torch.finfo(x.dtype).eps * exact.abs()
        found = [packed(given, other) for given in layouts(one)]
    except (RuntimeError, AttributeError, TypeError):  # this torch has no such operation
        return False
    return all(each.shape == exact.shape and bool(((each.float() - exact).abs() <= bound).all()) for each in found)


def run(operation: Any, args: tuple[Any, ...]) -> Any:
    """Run an operation."""
    return operation(*args)


def whole(shape: tuple[int, ...], seed: int) -> Tensor:
    """Small whole numbers, the same each time."""
    rng = Generator().manual_seed(seed)
    return torch.randint(-LARGEST, LARGEST + 1, shape, generator=rng, dtype=torch.int8).float()


def layouts(values: Tensor) -> list[Tensor]:
    """Values in memory as they are, and as the operations of oneDNN may leave them to each other."""
    ways = [values.contiguous(memory_format=way) for way in (torch.contiguous_format, torch.channels_last)]
    return list({one.stride(): one for one in (values, *ways)}.values())


def laid(values: Tensor, form: Form) -> Tensor:
    """Values of the type and with the strides of a form; where those are 0, the first stands for all."""
    for axis, step in enumerate(form.stride):
        if step == 0:
            values = values.narrow(axis, 0, 1)
    return torch.empty_strided(values.shape, form.stride, dtype=form.dtype).copy_(values).expand(form.shape)
