"""What a recording holds: the operations of a computation, and what of them runs once."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ebmkit.acceleration.folding import folded
from ebmkit.acceleration.packing import pack
from ebmkit.acceleration.recording import Unrecordable, aten, record
from ebmkit.interfaces import value_and_grad


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed))


def replayed(computation, x):
    """What a recording at one x gives at another."""
    recording = record(computation, x)
    constants, body = folded(recording)
    with torch.no_grad():
        return body(2 * x + 1, *constants()), targets(body.graph), constants


def targets(graph) -> list[object]:
    return [node.target for node in graph.nodes if node.op == "call_function"]


def test_a_recording_holds_at_other_values():
    weight = draw(4, 3)
    results, _, _ = replayed(lambda x: ((x @ weight.T).relu().sum(1), x * weight[0]), draw(5, 3))
    x = 2 * draw(5, 3) + 1
    assert torch.equal(results[0], (x @ weight.T).relu().sum(1))
    assert torch.equal(results[1], x * weight[0])


def test_what_depends_on_weights_alone_runs_once():
    weight = draw(3, 3)
    results, body, constants = replayed(lambda x: (x @ weight.exp(),), draw(5, 3))
    assert aten.exp.default not in body
    assert aten.exp.default in targets(constants.graph)
    assert torch.equal(results[0], (2 * draw(5, 3) + 1) @ weight.exp())
    weight.mul_(0.5)
    assert torch.equal(constants()[0], weight.exp())


def test_the_gradient_of_a_linear_layer_is_folded():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1)).requires_grad_(False)
    recording = record(lambda x: value_and_grad(layers, x), draw(5, 3))
    before = targets(recording.graph)
    _, body = folded(recording)
    # Of the two products backward only the one behind the activation is left.
    assert before.count(aten.mm.default) == 2
    assert targets(body.graph).count(aten.mm.default) == 1


def test_a_computation_that_writes_is_run_whole_each_time():
    weight = draw(3)

    def computation(x: Tensor) -> tuple[Tensor]:
        total = torch.zeros(3)
        total += weight
        return (total.add_(x.sum(0)),)

    recording = record(computation, draw(5, 3))
    assert recording.mutates
    constants, body = folded(recording)
    for seed in (1, 2, 1):
        x = draw(5, 3, seed=seed)
        assert torch.equal(body(x, *constants())[0], computation(x)[0])


class InPlace(nn.Module):
    """What hand-written networks do: activations in place, and a sum in place behind one that was kept."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.bend = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.bend(self.first(x))
        bent = F.leaky_relu(self.second(maps), 0.3)
        bent += maps
        rows = bent.flatten(1)
        rows.mul_(0.5)
        return bent.square().sum((1, 2, 3)) + 10 * x.square().sum((1, 2, 3))


def test_what_is_written_in_place_is_computed_anew():
    energy = InPlace().requires_grad_(False)
    recording = record(lambda x: value_and_grad(energy, x), draw(4, 3, 8, 8))
    # Only what is written through a view of another tensor is left to be written.
    assert aten.mul_.Tensor in targets(recording.graph)
    assert not {aten.leaky_relu_.default, aten.add_.Tensor} & set(targets(recording.graph))
    pack(recording)
    constants, body = folded(recording)
    x = draw(4, 3, 8, 8, seed=1)
    for _ in range(2):
        for mine, theirs in zip(body(x, *constants()), value_and_grad(energy, x), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_weights_behind_activations_in_place_are_still_folded():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 4), nn.ELU(inplace=True), nn.Linear(4, 1), nn.ReLU(inplace=True))
    recording = record(lambda x: value_and_grad(layers.requires_grad_(False), x), draw(5, 3))
    assert not recording.mutates
    constants, body = folded(recording)
    assert aten.t.default not in targets(body.graph)
    for mine, theirs in zip(body(draw(5, 3), *constants()), value_and_grad(layers, draw(5, 3)), strict=True):
        assert torch.equal(mine, theirs)


def test_whole_numbers_can_index_and_a_mask_cannot():
    order = torch.tensor([2, 0])
    results, _, _ = replayed(lambda x: (x[:, order],), draw(5, 3))
    assert torch.equal(results[0], (2 * draw(5, 3) + 1)[:, order])
    with pytest.raises(Unrecordable):
        record(lambda x: (x[:, order > 1],), draw(5, 2))


@pytest.mark.parametrize("leave", [Tensor.numpy, Tensor.tolist, np.asarray, np.from_dlpack])
def test_what_takes_values_out_of_torch_cannot_be_recorded(leave):
    with pytest.raises(Unrecordable, match="takes numbers out of torch"):
        record(lambda x: (x * float(np.sum(leave(x))),), draw(5, 3))


def test_what_is_drawn_is_drawn_each_time():
    _, body = folded(record(lambda x: (x + torch.rand(3),), draw(5, 3)))
    first, second = body(draw(5, 3))[0], body(draw(5, 3))[0]
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "computation",
    [
        lambda x: (x * x.sum().item(),),
        lambda x: (x if (x > 0).any() else -x,),
        lambda x: (x[x > 0].sum(),),
        lambda x: (x[x.nonzero()[:, 0]],),
        lambda x: (x.unique().sum() * x,),
    ],
)
def test_a_computation_that_asks_for_a_number_cannot_be_recorded(computation):
    with pytest.raises(Unrecordable, match="depend on the values"):
        record(computation, draw(5, 3))


def test_recording_leaves_no_trace():
    x = draw(5, 3)
    kept = x.clone()
    with pytest.raises(Unrecordable):
        record(lambda x: (x * x.sum().item(),), x)
    assert torch.equal(x, kept)
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()
