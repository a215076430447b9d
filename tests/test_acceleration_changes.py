"""What changes in an energy between chains, weights or not, counts from the next chain on."""

import warnings

import pytest
import torch
from networks import Caching, Cancelling, Temperature, Tempered, agree, images
from torch import Tensor, nn

from ebmkit.acceleration import accelerated
from ebmkit.acceleration.accelerated import ADOPTIONS, Accelerated
from ebmkit.interfaces import value_and_grad


def double(module, given, result):
    return 2 * result


CHANGES = {
    "what lies outside of it": lambda energy: setattr(Temperature, "value", 2.0),
    "a number": lambda energy: setattr(energy, "beta", 0.5),
    "a list": lambda energy: energy.powers.append(4),
    "what a list holds in a dictionary": lambda energy: energy.more["shifts"].append(1.0),
    "a tensor, in place": lambda energy: energy.shift.data.add_(1),
    "another tensor": lambda energy: setattr(energy, "shift", torch.full((2,), 3.0)),
    "a part of another kind": lambda energy: setattr(energy, "bend", nn.SiLU()),
    "a hook": lambda energy: energy.bend.register_forward_hook(double),
    "another type": lambda energy: energy.double(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_between_chains_is_taken_up(change, monkeypatch):
    monkeypatch.setattr(Temperature, "value", 1.0)
    energy, x = Tempered(), torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.5, 2.0]])
    fast = Accelerated(energy)
    assert agree(fast, energy, x)
    twin = fast.twin
    assert agree(fast, energy, x)
    assert fast.twin is twin
    change(energy)
    assert agree(fast, energy, x.to(energy.scale.dtype))
    assert fast.twin is not twin


def test_an_energy_that_always_changes_falls_back():
    energy, x = Tempered(), torch.tensor([[1.0, 2.0]])
    fast = Accelerated(energy)
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        for chain in range(2 * ADOPTIONS):
            energy.beta = 1.0 + chain
            found = fast.refreshed(energy).value_and_grad(x)
            assert all(map(torch.allclose, found, value_and_grad(energy, x)))
    (notice,) = notices
    assert "Tempered changes from chain to chain" in str(notice.message)


def test_an_energy_that_seldom_changes_is_taken_up_each_time(monkeypatch):
    monkeypatch.setattr(accelerated, "PATIENCE", 2)
    energy, x = Tempered(), torch.tensor([[1.0, 2.0]])
    fast = Accelerated(energy)
    for chain in range(6 * ADOPTIONS):
        energy.beta = 1.0 + chain // 3
        assert agree(fast, energy, x)
    assert fast.twin is not None


def test_what_changes_before_the_first_chain_is_taken_up():
    energy, x = Tempered(), torch.tensor([[1.0, 2.0]])
    fast = Accelerated(energy)
    for beta in range(2, 4 + ADOPTIONS):
        energy.beta = float(beta)
        fast.refreshed(energy)
    assert agree(fast, energy, x)
    assert fast.twin is not None


class Keeping(nn.Module):
    """Keeps its last output with its graph, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(2, 1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = self.layer(x)
        return self.last.squeeze(1)


def test_what_an_energy_keeps_of_its_passes_is_no_change():
    energy, x = Keeping(), torch.ones(3, 2)
    energy(x)
    fast = Accelerated(energy)
    assert agree(fast, energy, x)
    twin = fast.twin
    for _ in range(2 * ADOPTIONS):
        energy(x)
        assert agree(fast, energy, x)
    assert fast.twin is twin
    assert fast.twin.replay(x) is not None


def test_a_cache_that_fills_in_the_first_pass_is_no_change():
    energy, x = Caching(), torch.ones(3, 2)
    fast = Accelerated(energy)
    assert agree(fast, energy, x)
    twin = fast.twin
    for _ in range(3):
        assert agree(fast, energy, x)
    assert fast.twin is twin
    assert fast.twin.replay(x) is not None


def test_a_cache_that_only_refreshes_fill_is_no_change():
    energy, x = Caching(), torch.ones(3, 2)
    fast = Accelerated(energy)
    fast.refreshed(energy).value_and_grad(x)
    twin = fast.twin
    fast.refreshed(energy).value_and_grad(x)
    assert fast.twin is twin


def test_how_weights_lie_in_memory_is_no_change():
    # Maps with the channels last are copied to make rows of them, others are not.
    energy = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 1))
    fast = Accelerated(energy)
    fast.refreshed(energy).value_and_grad(images())
    twin = fast.twin
    fast.refreshed(energy).value_and_grad(images())
    assert fast.twin is twin


def test_autocast_around_a_refresh_is_no_change():
    energy, x = nn.Sequential(nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 1)), torch.ones(3, 2)
    fast = Accelerated(energy)
    fast.refreshed(energy).value_and_grad(x)
    twin = fast.twin
    with torch.autocast("cpu"):
        fast.refreshed(energy)
    assert fast.twin is twin


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(5))
def test_an_energy_near_zero_by_cancellation_is_no_change(seed):
    energy = Cancelling(seed)
    fast, twin = Accelerated(energy), None
    for _ in range(2 * ADOPTIONS):
        fast.refreshed(energy).value_and_grad(images())
        twin = twin or fast.twin
        assert fast.twin is twin
        with torch.no_grad():
            energy.layer.weight.mul_(0.9)


def test_weights_that_are_no_numbers_are_no_change():
    energy, x = Tempered(), torch.tensor([[1.0, 2.0]])
    fast = Accelerated(energy)
    fast.refreshed(energy).value_and_grad(x)
    twin = fast.twin
    with torch.no_grad():
        energy.scale.fill_(torch.nan)
    assert bool(fast.refreshed(energy).value_and_grad(x)[0].isnan().all())
    assert fast.twin is twin
