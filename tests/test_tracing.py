"""Two traces show whether two computations are the same, whatever they give."""

import ctypes

import pytest
import torch
from torch import Tensor, nn

from ebmkit.acceleration.folding import folded
from ebmkit.acceleration.recording import Unrecordable, record
from ebmkit.acceleration.tracing import Trace, alike
from ebmkit.acceleration.verifying import agrees, verified
from ebmkit.interfaces import value_and_grad

TABLE = torch.tensor([1.0, torch.nan, 3.0])


def traced(computation, *given: Tensor) -> Trace:
    trace = Trace(given)
    with trace:
        computation(*given)
    return trace


def seen(computation, *, scale: float = 1.0) -> Trace:
    """What a trace sees of a computation at numbers of some size."""
    return traced(computation, scale * torch.ones(2, 3), scale * torch.ones(3))


SAME = {
    "a product": lambda x, w: (x * w).sum(1),
    "a list of tensors": lambda x, w: torch.cat([x, x * w]),
    "a constant": lambda x, w: x * TABLE,
    "in place": lambda x, w: (x * w).add_(1).mul_(w),
    "several results": lambda x, w: x.max(1),
    "a type": lambda x, w: x.to(torch.float64) * w,
}
OTHER = {
    "another number": (lambda x, w: x * 2.0, lambda x, w: x * 2.1),
    "another operation": (lambda x, w: x.sin(), lambda x, w: x.cos()),
    "one more": (lambda x, w: x.sin(), lambda x, w: x.sin().sin()),
    "another order": (lambda x, w: x.sin() + x.cos(), lambda x, w: x.cos() + x.sin()),
    "another argument": (lambda x, w: x * w, lambda x, w: x * x[0]),
    "another result": (lambda x, w: (x.sin(), x.cos())[0] * w, lambda x, w: (x.sin(), x.cos())[1] * w),
    "another constant": (lambda x, w: x * TABLE, lambda x, w: x * (TABLE.nan_to_num() + 1e-7)),
    "a constant of another shape": (lambda x, w: x * TABLE, lambda x, w: x * TABLE[:1].clone()),
    "another type": (lambda x, w: x.to(torch.float64), lambda x, w: x.to(torch.bfloat16)),
}


@pytest.mark.parametrize("computation", SAME.values(), ids=SAME)
def test_values_make_no_difference(computation):
    assert alike(seen(computation), seen(computation, scale=1e-30))
    assert alike(seen(computation), seen(computation, scale=torch.inf))


@pytest.mark.parametrize("computations", OTHER.values(), ids=OTHER)
def test_operations_and_constants_make_a_difference(computations):
    one, other = computations
    constants = TABLE.clone()
    assert not alike(seen(one), seen(other))
    assert torch.equal(constants.nan_to_num(), TABLE.nan_to_num())


def test_a_constant_counts_as_it_was_when_it_was_used():
    constant = torch.zeros(3)
    before = seen(lambda x, w: x + constant)
    constant += 1
    assert not alike(before, seen(lambda x, w: x + constant))


def passes(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    return value_and_grad(network, x)


class Behind(nn.Module):
    """Writes into memory behind torch's back, which no operation shows."""

    def forward(self, x: Tensor) -> Tensor:
        rest = (x * 0).sum(1)
        ctypes.memset(rest.data_ptr(), 65, 4)
        return x.square().sum(1) + rest


def test_what_is_written_behind_torch_s_back_is_found_out():
    with pytest.raises(Unrecordable, match="run again it does something else"):
        verified(passes, Behind(), torch.ones(4, 2))


@pytest.mark.parametrize(("share", "same"), [(1e-6, True), (1e-2, False)])
def test_what_adds_up_in_any_order_is_compared_with_its_terms(share, same):
    constants, body = folded(record(lambda x: ((x + 1e4).sum(1) - 2e4,), torch.ones(3, 2)))
    x = torch.rand(3, 2)
    results = body(x, *constants())
    off = tuple(one + share * 2e4 for one in results)
    assert agrees(body, (x, *constants()), results)
    assert agrees(body, (x, *constants()), off) is same
    assert not agrees(body, (x, *constants()), tuple(one[:1] for one in results))
