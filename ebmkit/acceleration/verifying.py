"""A recording that holds: at other examples and weights the computation runs the very same operations."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter

from ebmkit.acceleration.copying import copied, tensors
from ebmkit.acceleration.folding import folded
from ebmkit.acceleration.recording import Recording, Unrecordable, record
from ebmkit.acceleration.tracing import Trace, alike

Passes = Callable[[nn.Module, Tensor], tuple[Tensor, ...]]


def verified(passes: Passes, network: nn.Module, x: Tensor) -> Recording:
    """Record the passes through a network at `x`, and see that at other values they would have been recorded alike.

    Operations are compared, not what they give, so that no rounding decides: a constant that some hidden computation
    gave is another at other values. Then the recording is run and compared with the passes themselves, which catches
    what is drawn, or written behind torch's back. Other weights are those of a copy that is thrown away.

    Raises:
        Unrecordable: if that is not so.
    """
    other = 0.9 * x.roll(1, 0) + 0.1 * waves(x)
    for _ in range(2):  # what fills a cache does so in its first pass
        recording, seen, _ = traced(passes, network, x)
        again, too, results = traced(passes, altered(network), other)
        if alike(seen, too):
            break
    else:
        raise Unrecordable("with other numbers of this shape it does something else")
    constants, body = folded(again)
    if not agrees(body, (other, *constants()), results):
        raise Unrecordable("run again it does something else")
    return recording


def traced(passes: Passes, network: nn.Module, x: Tensor) -> tuple[Recording, Trace, tuple[Tensor, ...]]:
    """The passes at `x` as a recording, as a trace, and what they gave."""
    trace, results = Trace([x, *tensors(network)]), list[Tensor]()

    def computation(x: Tensor) -> tuple[Tensor, ...]:
        results.extend(passes(network, x))
        return tuple(results)

    with trace:
        recording = record(computation, x)
    trace.alive.clear()
    return recording, trace, tuple(results)


def agrees(body: GraphModule, given: Sequence[Tensor], results: Sequence[Tensor]) -> bool:
    """Whether what was recorded gives the same when it is run again.

    On a CPU it gives the same bits. Some operations of a GPU add up in an order that changes; that is compared with
    the largest value on the way, for sums of large values may be small.
    """
    again = body(*given)
    if all(one.shape == two.shape and torch.equal(one, two) for one, two in zip(again, results, strict=True)):
        return True
    largest = Largest(body)
    largest.run(*given)
    for one, two in zip(again, results, strict=True):
        if one.shape != two.shape:
            return False
        off = (one - two).nan_to_num(posinf=0.0, neginf=0.0).abs()
        if bool((off > torch.finfo(one.dtype).eps ** 0.5 * largest.value).any()):
            return False
    return True


class Largest(Interpreter):
    """Runs a graph and keeps the largest absolute value on the way."""

    value = 0.0

    def run_node(self, n: Any) -> Any:
        """Run one operation."""
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.is_floating_point() and result.numel():
            size = float(result.nan_to_num(posinf=0.0, neginf=0.0).abs().max())
            self.value = max(self.value, size)
        return result


def altered(network: nn.Module) -> nn.Module:
    """A copy whose weights and buffers are off by up to a tenth, which keeps signs and zeros."""
    copy = copied(network)
    for one in tensors(copy):
        if one.is_floating_point():
            one.mul_(1 + 0.1 * waves(one))
    return copy


def waves(x: Tensor) -> Tensor:
    """Values between -1 and 1 of the shape of `x`, no two neighbours alike."""
    return torch.arange(x.numel(), device=x.device, dtype=torch.float32).cos().view(x.shape).to(x.dtype)
