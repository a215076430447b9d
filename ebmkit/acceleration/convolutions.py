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
    """A two-dimensional convolution of tensors of these forms, or a transposed one: each is the gradient of the other.

    Attributes:
        x: What it is given.
        weight: Its weight.
        result: What it gives, or the gradient of that.
        biased: Whether a bias is added.
        slope: That of the LeakyReLU which follows; None where none does.
        output_padding: Rows and columns that a transposed one has besides; None for one that is not transposed.
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
    output_padding: tuple[int, ...] | None = None

    @property
    def transposed(self) -> bool:
        """Whether it is transposed."""
        return self.output_padding is not None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """How the kernel moves, in the order of autograd's operations."""
        padding, stride, dilation, groups = self.places
        return stride, padding, dilation, self.transposed, list(self.output_padding or (0, 0)), groups

    @property
    def terms(self) -> tuple[int, int]:
        """How many products an element sums at most: of the result without its bias, and of the gradient of x."""
        wide, narrow, *kernel = self.weight.shape
        straight, back = narrow * prod(kernel), wide // self.groups * prod(kernel)
        return (back, straight) if self.transposed else (straight, back)

    @property
    def places(self) -> tuple[Any, ...]:
        """How the kernel moves, in the order of oneDNN's operations."""
        return list(self.padding), list(self.stride), list(self.dilation), self.groups

    @property
    def rest(self) -> list[int]:
        """Rows and columns of x that no place of the kernel reaches."""
        shapes = (one.shape[2:] for one in (self.x, self.result, self.weight))
        moves = zip(*shapes, self.stride, self.padding, self.dilation, strict=True)
        return [
            size - ((steps - 1) * stride - 2 * pad + spread * (kernel - 1) + 1)
            for size, steps, kernel, stride, pad, spread in moves
        ]

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What autograd runs forward."""
        result: Tensor = aten.convolution(x, weight, bias, *self.arguments)
        return result if self.slope is None else F.leaky_relu(result, self.slope)

    def packed(self, call: Call, x: Any, weight: Any, bias: Any) -> Any:
        """The same by oneDNN, with its weight reordered and LeakyReLU inside."""
        activation = ("none", [], "") if self.slope is None else ("leaky_relu", [self.slope], "")
        return self._packed(call, self.output_padding, x, weight, bias, self.x.shape, activation)

    def plain_backward(self, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """What autograd runs for the gradient of x."""
        wanted = [True, False, False]
        slope: Tensor = aten.convolution_backward(gradient, x, weight, None, *self.arguments, wanted)[0]
        return slope

    def packed_backward(self, call: Call, gradient: Any, weight: Any) -> Any:
        """The same by oneDNN."""
        rest = None if self.transposed else self.rest
        return self._packed(call, rest, gradient, weight, None, self.result.shape, ("none", [], ""))

    def _packed(self, call: Call, rest: Any, x: Any, weight: Any, bias: Any, shape: Any, activation: Any) -> Any:
        """An operation of oneDNN on x of this shape: transposed, with `rest` besides, unless that is None."""
        padding, *moves = self.places
        kind = "convolution" if rest is None else "convolution_transpose"
        places = (padding, *moves) if rest is None else (padding, list(rest), *moves)
        reorder, convolve = getattr(mkldnn, f"_reorder_{kind}_weight"), getattr(mkldnn, f"_{kind}_pointwise")
        weight = call(reorder.default, (weight, *places, list(shape)))
        return call(convolve.default, (x, weight, bias, *places, *activation))


@lru_cache(maxsize=1024)
def forward_holds(layer: Convolution, threads: int) -> bool:
    """Whether the packed convolution gives what the plain one does, on this many threads."""
    bias = whole(layer.result.shape[1:2], 2) if layer.biased else None

    def packed(x: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = layer.packed(run, x, weight, None if bias is None else bias.to(x.dtype))
        return result

    def plain(x: Tensor, weight: Tensor) -> Tensor:
        return layer.plain(x, weight, bias)

    return same(packed, plain, layer.x, layer.weight, layer.terms[0] + 1)


@lru_cache(maxsize=1024)
def backward_holds(layer: Convolution, threads: int) -> bool:
    """The same of the gradient of x."""

    def packed(gradient: Tensor, weight: Tensor) -> Tensor:
        slope: Tensor = layer.packed_backward(run, gradient, weight)
        return slope

    def plain(gradient: Tensor, weight: Tensor) -> Tensor:
        return layer.plain_backward(gradient, torch.empty(layer.x.shape), weight)

    return same(packed, plain, layer.result, layer.weight, layer.terms[1])


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
