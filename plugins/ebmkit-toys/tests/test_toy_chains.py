"""The starts of `stratified`, and the chains of `metropolis`."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ebmkit_toys.init import Stratified
from ebmkit_toys.sampler import Metropolis
from torch import Generator, Tensor, nn

from ebmkit import UsageError
from ebmkit.testing import conforms

N = 20_000


@conforms("sampler", Metropolis, steps=10)
def test_metropolis_conforms(check: Callable[[], None]):
    check()


@conforms("sampler", Metropolis, steps=5, scale=0.8, temperature=0.5)
def test_metropolis_with_other_settings_conforms(check: Callable[[], None]):
    check()


@conforms("init", Stratified)
def test_stratified_conforms(check: Callable[[], None]):
    check()


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def worst_z(values: Tensor) -> float:
    """The largest |z| of the columns of `values` `(n, k)`, each of mean 0."""
    values = values.double()
    return float((values.mean(0) / (values.std(0) / math.sqrt(len(values)))).abs().max())


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


def stairs(x: Tensor) -> Tensor:
    """An energy without gradients: 0, 1 and 2 on three intervals of equal length, infinite elsewhere."""
    place = (x.detach().squeeze(1) * 3).floor()
    return torch.where((place >= 0) & (place <= 2), place, math.inf)


def stairs_z(**settings: Any) -> float:
    """|z| of the shares of the three stairs against those of temperature 0.5, after steps from exact draws."""
    weights = torch.exp(-torch.arange(3.0) / 0.5)
    shares = weights / weights.sum()
    generator = rng(1)
    start = torch.multinomial(shares, N, replacement=True, generator=generator)
    x = ((start + torch.rand(N, generator=generator)) / 3).unsqueeze(1)
    moved = Metropolis(**{"steps": 10, "scale": 0.3, "temperature": 0.5} | settings).sample(stairs, x, generator)
    assert (moved != x).float().mean() > 0.5
    stair = (moved * 3).floor()
    within = moved * 3 - stair
    return worst_z(torch.cat([(stair == torch.arange(3)).double() - shares, within - 0.5], dim=1))


def test_steps_leave_a_target_without_gradients_invariant():
    assert stairs_z() < 5


def test_the_test_of_the_stairs_detects_another_temperature():
    assert stairs_z(temperature=0.55) > 5


def test_chains_from_elsewhere_reach_the_temperature():
    x = Metropolis(steps=60, scale=1.2, temperature=0.4).sample(square, torch.ones(N, 1), rng(2))
    assert worst_z(torch.cat([x, x.square() - 0.4], dim=1)) < 5
    assert worst_z(torch.cat([x, x.square() - 0.44], dim=1)) > 5


def test_the_energy_is_evaluated_once_a_step_without_a_graph():
    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.seen = nn.Parameter(torch.ones(())), []

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append((torch.is_grad_enabled(), self.training))
            return self.weight * square(x)

    energy = Noting()
    x = torch.ones(3, 2)
    for state in Metropolis(steps=4).chain(energy, x, rng()):
        assert torch.is_grad_enabled()
        assert energy.training
        assert not state.x.requires_grad
        assert not state.info["energy"].requires_grad
    assert energy.seen == [(False, False)] * 5
    energy.seen.clear()
    end = Metropolis(steps=4).sample(energy, x.requires_grad_(), rng())
    assert end.requires_grad
    assert energy.seen == [(True, False)] * 5


def test_proposals_not_finite_are_rejected_and_reported():
    def wall(x: Tensor) -> Tensor:
        return torch.where(x.squeeze(1) < 1, square(x), torch.where(x.squeeze(1) < 1.5, math.nan, -math.inf))

    x, nonfinite = torch.zeros(500, 1), 0
    for state in Metropolis(steps=10, scale=1.0).chain(wall, x, rng(3)):
        kept = state.info["accepted"]
        assert (state.x < 1).all()
        assert torch.equal(state.x[~kept], x[~kept])
        assert (state.x[kept] != x[kept]).all()
        assert not (kept & state.info["nonfinite"]).any()
        nonfinite += int(state.info["nonfinite"].sum())
        x = state.x
    assert nonfinite > 500


def test_the_promises_are_those_of_the_settings():
    promises = Metropolis(temperature=0.3).promises
    assert (promises.temperature, promises.reversible, promises.gradients) == (0.3, True, 0)


def test_the_implied_temperature_is_the_setting():
    assert Metropolis(temperature=0.3).implied_temperature == 0.3


def cells(x: Tensor, side: int) -> Tensor:
    """The index of each point's cell in [-1, 1]², divided into side² cells."""
    place = ((x + 1) / 2 * side).floor().long()
    return place[:, 0] * side + place[:, 1]


@pytest.mark.parametrize(("n", "side"), [(0, 1), (1, 1), (2, 2), (5, 3), (9, 3), (10, 4), (100, 10)])
def test_each_point_has_its_own_cell(n: int, side: int):
    x = Stratified((2,)).sample(n, rng(n))
    assert x.shape == (n, 2)
    assert x.dtype == torch.float32
    assert (x.abs() <= 1).all()
    assert len(cells(x, side).unique()) == n


def uniform_z(n: int, low: float, high: float) -> float:
    """|z| of the first and the last of n points against uniform ones on [0, 2] x [0, 2], over many draws."""
    init, generator = Stratified((2,), low=low, high=high), rng(4)
    x = torch.stack([init.sample(n, generator)[[0, -1]] for _ in range(3000)]).flatten(1) / 2
    return worst_z(torch.cat([x - 1 / 2, x.square() - 1 / 3, (x[:, :2] - 0.5).prod(1, keepdim=True)], dim=1))


@pytest.mark.parametrize("n", [1, 4, 5])
def test_the_marginal_of_every_point_is_uniform(n: int):
    assert uniform_z(n, 0.0, 2.0) < 5


def test_the_test_of_uniform_points_detects_mutants(monkeypatch: pytest.MonkeyPatch):
    assert uniform_z(5, 0.0, 1.9) > 5
    monkeypatch.setattr(torch, "randperm", lambda count, **_: torch.arange(count))
    assert uniform_z(4, 0.0, 2.0) > 5


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 8, 8)], ids=str)
def test_starts_not_in_the_plane_are_refused(shape: tuple[int, ...]):
    with pytest.raises(UsageError, match=r"^shape must be \(2,\)") as caught:
        Stratified(shape)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"scale": 0.0}, {"scale": math.inf}, {"temperature": 0.0}, {"temperature": math.nan}]
)
def test_metropolis_refuses_settings_out_of_range(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        Metropolis(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", [{"low": -math.inf}, {"high": -1.0}, {"high": math.nan}])
def test_stratified_refuses_settings_out_of_range(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        Stratified((2,), **settings)
    assert "\n" not in str(caught.value)
