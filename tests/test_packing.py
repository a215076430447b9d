"""Convolutions made ready for oneDNN: they compute what they replace, and one that does not stays as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.fx import GraphModule

from ebmkit.acceleration import packing
from ebmkit.acceleration.convolutions import mkldnn
from ebmkit.acceleration.folding import folded
from ebmkit.acceleration.packing import pack
from ebmkit.acceleration.precision import onednn
from ebmkit.acceleration.recording import aten, record
from ebmkit.interfaces import value_and_grad

pytestmark = pytest.mark.skipif(not onednn(torch.float32), reason="this build of torch has no oneDNN")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed))


def targets(graph) -> list[object]:
    return [node.target for node in graph.nodes if node.op == "call_function"]


CONVOLUTIONS = {
    "the paper's first": {"in_channels": 3, "out_channels": 8, "kernel_size": 3, "padding": 1},
    "the paper's others": {"in_channels": 3, "out_channels": 8, "kernel_size": 4, "stride": 2, "padding": 1},
    "the paper's last": {"in_channels": 3, "out_channels": 1, "kernel_size": 8},
    "uneven": {"in_channels": 3, "out_channels": 5, "kernel_size": (2, 3), "stride": (3, 2), "padding": (0, 2)},
    "dilated": {"in_channels": 3, "out_channels": 4, "kernel_size": 2, "dilation": 3},
    "grouped": {"in_channels": 3, "out_channels": 6, "kernel_size": 3, "groups": 3},
    "without a bias": {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "bias": False},
    "padded as its output asks": {"in_channels": 3, "out_channels": 4, "kernel_size": 4, "padding": "same"},
}
AFTER = {
    "nothing": lambda y: y,
    "leaky_relu": lambda y: F.leaky_relu(y, 0.2),
    "leaky_relu by default": F.leaky_relu,
    "relu": F.relu,
    "silu": F.silu,
    "leaky_relu beside itself": lambda y: F.leaky_relu(y, 0.3) * y,
    "leaky_relu of a negative slope": lambda y: F.leaky_relu(y, -0.5),
    "two of leaky_relu": lambda y: F.leaky_relu(y, 0.1) + F.leaky_relu(y, 0.4),
}


class Convolved(nn.Module):
    def __init__(self, settings, after) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.after = nn.Conv2d(**settings), after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.layer(x)).square().sum((1, 2, 3))


def packed(energy: nn.Module, x: Tensor):
    """The passes of an energy made ready, as what runs once and what runs each time."""
    recording = record(lambda x: value_and_grad(energy.requires_grad_(False), x), x)
    pack(recording)
    return folded(recording)


def assert_same(constants, body, energy: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        found = body(x, *constants())
    for mine, theirs in zip(found, value_and_grad(energy, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
def test_convolutions_made_ready_compute_the_same(settings, after):
    energy = Convolved(settings, after)
    assert_same(*packed(energy, draw(4, 3, 8, 8)), energy, draw(4, 3, 8, 8, seed=1))


@pytest.fixture
def trusted(monkeypatch):
    """All of oneDNN's operations are taken for right, whatever this CPU makes of them."""
    for name in ("forward_holds", "backward_holds"):
        monkeypatch.setattr(packing, name, lambda *given: True)


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
def test_every_convolution_that_holds_is_made_ready(settings, after, trusted):
    _, body = packed(Convolved(settings, after), draw(4, 3, 8, 8))
    assert not {aten.convolution.default, aten.convolution_backward.default} & set(targets(body.graph))


def test_rows_can_be_made_of_the_maps_of_a_packed_convolution():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(8 * 36, 1))
    assert_same(*packed(layers, draw(4, 8, 8, 8)), layers, draw(4, 8, 8, 8))


def test_weights_are_reordered_once_and_leaky_relu_is_inside(trusted):
    constants, body = packed(Convolved(CONVOLUTIONS["uneven"], AFTER["leaky_relu"]), draw(4, 3, 8, 8))
    assert aten.leaky_relu.default not in targets(body.graph)
    reorders = {mkldnn._reorder_convolution_weight.default, mkldnn._reorder_convolution_transpose_weight.default}
    assert reorders <= set(targets(constants.graph))
    assert not reorders & set(targets(body.graph))


@pytest.mark.parametrize("layer", [nn.Conv1d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3), nn.Conv2d(3, 4, 3).double()])
def test_other_convolutions_are_left_as_they_are(layer):
    layer.requires_grad_(False)
    x = draw(2, 3, 8, 8).to(layer.weight.dtype)
    x = x[..., 0] if isinstance(layer, nn.Conv1d) else x
    recording = record(lambda x: value_and_grad(lambda x: layer(x).square().flatten(1).sum(1), x), x)
    pack(recording)
    assert not [one for one in targets(recording.graph) if "mkldnn" in str(one)]
    found = GraphModule(dict(recording.tensors), recording.graph)(x)
    assert torch.equal(found[0], layer(x).square().flatten(1).sum(1))
