"""What cannot be recorded, or copied, is computed by autograd, and a notice says so."""

import random
import threading
import warnings

import numpy as np
import pytest
import torch
from networks import low_precision, rng
from torch import Tensor, nn

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.errors import Notice, UsageError
from ebmkit.interfaces import value_and_grad


class Branching(nn.Module):
    """Another energy for positive sums."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum(1) if x.sum() > 0 else x.sum(1)


class Secret(nn.Module):
    """Looks at its numbers behind torch's back."""

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.from_numpy(np.cos(x.detach().numpy()))
        return (x * weight).sum(1)


class Normed(nn.Module):
    """Takes a number of its weights out of torch: right until the weights change."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))

    def forward(self, x: Tensor) -> Tensor:
        size = 1.0
        for row in self.weight.detach().tolist():
            size += sum(row)
        return (x @ (self.weight / size)).square().sum(1)


class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, slope):
        return slope * torch.from_numpy(np.cos(ctx.saved_tensors[0].numpy()))


class Hidden(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Backwards.apply(x).sum(1)


class BackwardsByWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(weight)
        return x * weight

    @staticmethod
    def backward(ctx, slope):
        return slope * torch.from_numpy(np.copy(ctx.saved_tensors[0].detach().numpy())), None


class HiddenWeight(nn.Module):
    """Takes its weights out of torch, only in the gradient: right until they change."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return BackwardsByWeight.apply(x, self.weight).sum(1)


class Rolled(nn.Module):
    """Rolls a die of Python's, which no recording sees; the sum beside it hides how much that changes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum(1) * (1 + 0.1 * random.random())


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * torch.rand(x.shape)).sum(1)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Branching, "depend on the values"),
        (Secret, "out of torch"),
        (Normed, "out of torch"),
        (Hidden, "does something else"),
        (HiddenWeight, "does something else"),
    ],
)
def test_what_depends_on_values_falls_back_with_a_notice(kind, reason):
    energy, x = kind(), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    fast = Accelerated(energy)
    with pytest.warns(Notice, match=rf"passes of {kind.__name__} .* cannot be recorded \(.*{reason}") as notices:
        fast.value_and_grad(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for point in (x, -x, x.sqrt()):
            with torch.no_grad():
                for parameter in energy.parameters():
                    parameter.mul_(1.5)
            fast.refreshed(energy)
            assert all(map(torch.equal, fast.value_and_grad(point), value_and_grad(energy, point)))
    assert len(notices) == 1


@pytest.mark.parametrize("kind", [Random, Rolled])
def test_what_draws_is_not_recorded_and_loses_no_draw(kind, monkeypatch):
    monkeypatch.setattr(random, "random", random.Random(0).random)
    fast = Accelerated(kind())
    before = torch.get_rng_state()
    with pytest.warns(Notice, match="does something else"):
        fast.twin.replay(torch.ones(2, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert fast.twin.replay(torch.ones(2, 2)) is None


class Closed(nn.Module):
    """Computes through a function that holds on to the module that it was made in, as a copy does too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.through = lambda x: self.layers(x).squeeze(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(x)


def test_a_copy_that_computes_on_its_energy_is_not_recorded():
    torch.manual_seed(0)
    energy, x = Closed(), torch.randn(5, 2, generator=rng())
    energy(x)
    mean = energy.layers[1].running_mean.clone()
    fast = Accelerated(energy)
    with pytest.warns(Notice, match="on the energy itself"):
        found = fast.refreshed(energy).value_and_grad(x)
    assert all(map(torch.equal, found, value_and_grad(energy, x)))
    assert torch.equal(energy.layers[1].running_mean, mean)
    with torch.no_grad():
        energy.layers[0].weight.mul_(2.0)
    assert all(map(torch.equal, fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x)))


class Locked(nn.Module):
    """Holds what Python does not copy."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
        self.lock = threading.Lock()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


class Shared(nn.Linear):
    """Gives itself for a copy."""

    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("make", [Locked, lambda: Shared(2, 1)])
def test_what_cannot_be_copied_falls_back_with_a_notice(make):
    energy, x = make(), torch.ones(3, 2)
    name = type(energy).__name__
    with pytest.warns(Notice, match=f"{name} cannot be copied .* computed by autograd") as notices:
        fast = Accelerated(energy)
    assert all(module.training for module in energy.modules())
    assert all(parameter.requires_grad for parameter in energy.parameters())
    with torch.no_grad():
        next(energy.parameters()).add_(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(map(torch.equal, fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x)))
    assert len(notices) == 1
    with pytest.raises(UsageError, match=rf"bf16 computes on a copy .* {name} has none: use fp32"):
        low_precision(energy)
