"""An operation of oneDNN is used where it computes what it replaces: each by itself, whatever the weights are."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ebmkit.acceleration import convolutions
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.acceleration.convolutions import Convolution, Form, backward_holds, forward_holds, laid, run, same, whole
from ebmkit.acceleration.precision import onednn
from ebmkit.energies.convnet import ConvNet
from ebmkit.interfaces import value_and_grad

pytestmark = pytest.mark.skipif(not onednn(torch.float32), reason="this build of torch has no oneDNN")

PACKED = {
    "forward": torch.ops.mkldnn._convolution_pointwise.default,
    "backward": torch.ops.mkldnn._convolution_transpose_pointwise.default,
}
PLAIN = {"forward": torch.ops.aten.convolution.default, "backward": torch.ops.aten.convolution_backward.default}
RIGHT = Convolution.packed


@pytest.fixture(autouse=True)
def judged_anew():
    """No verdict is left from other tests, or for them."""
    for judge in (forward_holds, backward_holds):
        judge.cache_clear()
    yield
    for judge in (forward_holds, backward_holds):
        judge.cache_clear()


def network(width: int = 4) -> ConvNet:
    torch.manual_seed(0)
    return ConvNet((1, 8, 8), width=width)


def counts(energy: nn.Module, x: Tensor) -> tuple[dict[str, int], dict[str, int]]:
    """How many convolutions of the recorded passes are oneDNN's, and how many stayed as they were."""
    found = Counter(node.target for node in Accelerated(energy).twin.replay(x).body.graph.nodes)
    return tuple({way: found[target] for way, target in kind.items()} for kind in (PACKED, PLAIN))


def wrong(where, how):
    """An operation of oneDNN that is wrong at some layers, wherever it runs."""

    def operation(layer, call, x, weight, bias):
        result = RIGHT(layer, call, x, weight, bias)
        return how(result) if call is run and where(layer) else result

    return operation


def one_is_off(result: Tensor) -> Tensor:
    result = result.clone()
    result.view(-1)[-1] += 1
    return result


def refused(result: Tensor) -> Tensor:
    raise RuntimeError("could not create a primitive descriptor")


@pytest.mark.parametrize("how", [lambda y: 1.6 * y, one_is_off, refused, lambda y: y[:1], lambda y: y * torch.nan])
def test_only_the_convolution_that_fails_stays_as_it_was(how, monkeypatch):
    energy, x = network(), whole((5, 1, 8, 8), 3)
    monkeypatch.setattr(Convolution, "packed", wrong(lambda layer: False, how))
    packed, plain = counts(energy, x)
    monkeypatch.setattr(Convolution, "packed", wrong(lambda layer: layer.weight.shape[0] == 1, how))
    forward_holds.cache_clear()
    fewer, more = counts(energy, x)
    assert packed["forward"] - fewer["forward"] == more["forward"] - plain["forward"] == 1
    assert fewer["backward"] == packed["backward"]
    for mine, theirs in zip(Accelerated(energy).value_and_grad(x), value_and_grad(energy, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_where_leaky_relu_inside_fails_it_stays_outside(monkeypatch):
    energy, x = network(), whole((5, 1, 8, 8), 3)
    monkeypatch.setattr(Convolution, "packed", wrong(lambda layer: layer.slope is not None, one_is_off))
    replay = Accelerated(energy).twin.replay(x)
    found = Counter(node.target for node in replay.body.graph.nodes)
    assert found[torch.ops.aten.leaky_relu.default] == 2
    assert counts(energy, x)[0]["forward"] >= 2
    for mine, theirs in zip(replay(x), value_and_grad(energy, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_gradient_that_fails_stays_as_it_was(monkeypatch):
    right = Convolution.packed_backward

    def backward(layer, call, gradient, weight):
        result = right(layer, call, gradient, weight)
        return one_is_off(result) if call is run else result

    monkeypatch.setattr(Convolution, "packed_backward", backward)
    packed, plain = counts(network(), whole((5, 1, 8, 8), 3))
    assert (packed["backward"], plain["backward"]) == (0, 3)


@pytest.mark.parametrize("channels", [3, 16, 64])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_one_wrong_layer_costs_no_other_its_packing(channels, batch):
    torch.manual_seed(0)
    # The last is one map of a kernel that covers the image, which torch 2.13 gets wrong where AVX-512 may be used.
    layers = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(channels, 1, 8))
    energy, x = nn.Sequential(layers, nn.Flatten()), torch.randn(batch, 3, 8, 8)
    packed, _ = counts(energy, x)
    assert packed["forward"] >= 1
    assert packed["backward"] == 1
    for mine, theirs in zip(Accelerated(energy).value_and_grad(x), value_and_grad(energy, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_verdicts_are_kept_and_do_not_depend_on_weights(monkeypatch):
    calls = []
    monkeypatch.setattr(convolutions, "same", lambda *given: calls.append(given) or same(*given))
    x = whole((5, 1, 8, 8), 3)
    first = counts(network(), x)
    assert len(calls) >= 5
    before = len(calls)
    energy = network()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.copy_(1e-6 * torch.randn_like(parameter))
    assert counts(energy, x) == first
    assert len(calls) == before
    counts(energy, x[:2])
    assert len(calls) > before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_bound_is_that_of_rounding(dtype):
    form = Form((2, 3, 4, 4), (48, 16, 4, 1), dtype)
    unit = torch.finfo(dtype).eps / 2

    def plain(x: Tensor, weight: Tensor) -> Tensor:
        return 100 * x + weight

    def off(share: float):
        return same(lambda x, y: plain(x.double(), y.double()) * (1 + share), plain, form, form, 9)

    assert off(0.0)
    assert off(2 * unit)
    assert not off(8 * unit)


@pytest.mark.parametrize("stride", [(48, 16, 4, 1), (48, 1, 12, 3), (96, 32, 4, 1)])
def test_it_is_compared_in_each_layout_that_it_may_meet(stride):
    form = Form((2, 3, 4, 4), (96, 32, 4, 1), torch.float32)
    assert same(torch.add, torch.add, form, form, 9)
    assert not same(lambda x, y: x + y + (x.stride() == stride), torch.add, form, form, 1)


def test_values_lie_in_memory_as_they_did():
    form = Form((2, 3, 4, 4), (0, 1, 24, 6), torch.float32)
    values = laid(whole(form.shape, 0), form)
    assert values.stride() == form.stride
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], whole(form.shape, 0)[0])


def test_a_layer_says_what_its_kernel_does_not_reach():
    form = Form((4, 3, 8, 8), (192, 64, 8, 1), torch.float32)
    layer = Convolution(form, form, form, False, (3, 2), (0, 2), (1, 1), 1)
    layer = replace(layer, weight=Form((5, 3, 2, 3), (18, 6, 3, 1), torch.float32))
    result = torch.nn.functional.conv2d(torch.ones(form.shape), torch.ones(layer.weight.shape), None, (3, 2), (0, 2))
    layer = replace(layer, result=Form(tuple(result.shape), result.stride(), torch.float32))
    # Rows 6 and 7 of 8 are of no full step of 3 with a kernel of 2: three steps reach row 7.
    assert layer.rest == [0, 1]
