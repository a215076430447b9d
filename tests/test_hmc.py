"""HMC: mass, walls, and what it reports; laws/hamiltonian.py has its distribution, test_leapfrog.py the leapfrog."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.energies.analytic import DoubleWell, GaussianEnergy
from ebmkit.errors import UsageError
from ebmkit.interfaces import value_and_grad
from ebmkit.samplers.hmc import HMC

N = 100_000
PRECISION = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


def worst_z(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """The largest |z| among all means and (co)variances of `x`, tested against those given."""
    offset = x - mean
    products = (offset.unsqueeze(2) * offset.unsqueeze(1)).flatten(1) - covariance.flatten()
    both = torch.cat([offset, products], dim=1)
    return float((both.mean(0) / (both.std(0) / math.sqrt(len(x)))).abs().max())


def test_leapfrogs_return_energy_and_gradient_of_their_end():
    x, p = normal(20, 1), normal(20, 1, seed=1)
    end, _, value, gradient = HMC(step_size=0.7, leapfrog=3).leapfrogs(square, x, p, x)
    assert (end - x).abs().min() > 0
    torch.testing.assert_close(value, square(end))
    torch.testing.assert_close(gradient, end)


@pytest.mark.parametrize("mass", [2.0, torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)], ids=["float", "tensor"])
def test_a_trajectory_is_a_sequence_of_single_leapfrogs(mass: float | Tensor):
    energy, x, p = DoubleWell((3,)), normal(20, 3), normal(20, 3, seed=1)
    gradient = value_and_grad(energy, x)[1]
    whole = HMC(step_size=0.3, leapfrog=4, mass=mass).leapfrogs(energy, x, p, gradient)
    single = HMC(step_size=0.3, leapfrog=1, mass=mass)
    for _ in range(4):
        x, p, value, gradient = single.leapfrogs(energy, x, p, gradient)
    for found, expected in zip(whole, (x, p, value, gradient), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_largest_finite_examples_count_as_finite(dtype: torch.dtype):
    largest = torch.finfo(dtype).max

    def flat(x: Tensor) -> Tensor:
        return 0 * x.flatten(1)[:, 0]

    x = torch.full((3, 7), largest, dtype=dtype)
    x[1] = -largest
    for state in HMC(steps=3, step_size=0.1).chain(flat, x, rng()):
        assert state.info["accepted"].all()
        assert not state.info["nonfinite"].any()


def creutz_z(step_size: float, heat: float, mass: float | Tensor = 1.0) -> float:
    """z of E[exp(-ΔH)] = 1 for exact samples with momenta scaled by `heat`."""
    energy = GaussianEnergy((2,), precision=PRECISION)
    sampler = HMC(step_size=step_size, leapfrog=4, mass=mass)
    x = energy.draw(N, rng(2))
    p = heat * mass**0.5 * normal(N, 2, seed=3)
    value, gradient = value_and_grad(energy, x)
    _, p_end, value_end, _ = sampler.leapfrogs(energy, x, p, gradient)
    weight = torch.exp(-(value_end + sampler.kinetic(p_end) - value - sampler.kinetic(p)))
    assert weight.std() > 0.1
    return float((weight.mean() - 1) / (weight.std() / math.sqrt(N)))


def test_creutz_equality_holds_for_a_mass_of_each_element():
    assert abs(creutz_z(0.6, 1.0, torch.tensor([0.7, 2.0], dtype=torch.float64))) < 5


def test_creutz_equality_fails_for_momenta_too_hot():
    assert abs(creutz_z(0.6, 1.1)) > 5


def invariance_z(**settings: Any) -> float:
    """The largest z of the moments of exact samples after a few adjusted steps."""
    energy = GaussianEnergy((2,), mean=torch.tensor([0.5, -1.0], dtype=torch.float64), precision=PRECISION)
    sampler = HMC(**{"steps": 5, "step_size": 0.9, "leapfrog": 3, **settings})
    x, generator = energy.draw(N, rng(4)), rng(5)
    moved, accepted = x, torch.ones(())
    for state in sampler.chain(energy, x, generator):
        moved, accepted = state.x, state.info["accepted"].float().mean()
    assert not sampler.adjust or 0.2 < accepted < 0.98
    assert (moved != x).any(1).float().mean() > 0.5
    return worst_z(moved, energy.mean.detach(), energy.covariance)


def test_adjusted_steps_with_a_mass_tensor_keep_the_target():
    assert invariance_z(mass=torch.tensor([1.5, 0.5], dtype=torch.float64)) < 5


@pytest.mark.parametrize("mutant", [{"temperature": 1 / 1.1}, {"temperature": 1.1}, {"adjust": False}], ids=str)
def test_the_test_of_invariance_catches_mutants(mutant: dict[str, Any]):
    assert invariance_z(**mutant) > 5


def test_a_mass_is_a_rescaled_step():
    # With p = sqrt(m) z, a step e of mass m is a step e / sqrt(m) of mass 1: the same chain on the same noise.
    x = normal(30, 3)
    energy = DoubleWell((3,))
    plain = HMC(steps=6, step_size=0.3, leapfrog=3)
    heavy = HMC(steps=6, step_size=0.3 * 2, leapfrog=3, mass=4.0)
    tensor = HMC(steps=6, step_size=0.3 * 2, leapfrog=3, mass=torch.full((3,), 4.0, dtype=torch.float64))
    end = plain.sample(energy, x, rng(9))
    torch.testing.assert_close(heavy.sample(energy, x, rng(9)), end)
    torch.testing.assert_close(tensor.sample(energy, x, rng(9)), end)


def test_the_dtype_of_a_mass_does_not_change_that_of_chains():
    x = torch.ones(2, 3)
    mass = torch.full((3,), 2.0, dtype=torch.float64)
    end = HMC(steps=2, mass=mass, adjust=False).sample(square, x, rng())
    torch.testing.assert_close(end, HMC(steps=2, mass=2.0, adjust=False).sample(square, x, rng()))
    assert end.dtype == HMC(steps=2, mass=mass).sample(square, x, rng()).dtype == torch.float32


def nan_value(x: Tensor) -> Tensor:
    return torch.where(x.squeeze(1) < 2, square(x), math.nan)


def nan_value_and_gradient(x: Tensor) -> Tensor:
    return square(x) + 0 * (2 - x.squeeze(1)).sqrt()  # the gradient of log would be finite there


def inf_value(x: Tensor) -> Tensor:
    return torch.where(x.squeeze(1) < 2, square(x), math.inf)


def minus_inf_value(x: Tensor) -> Tensor:
    return torch.where(x.squeeze(1) < 2, square(x), -math.inf)


walls = pytest.mark.parametrize("wall", [nan_value, nan_value_and_gradient, inf_value, minus_inf_value])


@walls
def test_no_chain_passes_a_wall_and_rejected_ones_stay(wall: Callable[[Tensor], Tensor]):
    x = torch.zeros(20_000, 1, dtype=torch.float64)
    nonfinite = 0
    for state in HMC(steps=20, step_size=0.6, leapfrog=3).chain(wall, x, rng(10)):
        kept = state.info["accepted"]
        assert (state.x < 2).all()
        assert torch.equal(state.x[~kept], x[~kept])
        assert not (kept & state.info["nonfinite"]).any()
        nonfinite += int(state.info["nonfinite"].sum())
        x = state.x
    assert nonfinite > 1000


@walls
@pytest.mark.parametrize("adjust", [True, False])
def test_every_end_behind_the_wall_is_counted_and_rejected(wall: Callable[[Tensor], Tensor], adjust: bool):
    ends: list[Tensor] = []

    def energy(x: Tensor) -> Tensor:
        ends.append(x.detach())
        return wall(x)

    x = torch.full((500, 1), 1.5)
    states = list(HMC(steps=10, step_size=0.9, leapfrog=1, adjust=adjust).chain(energy, x, rng(11)))
    outside = torch.stack(ends[1:]).squeeze(2) >= 2
    assert outside.any()
    assert torch.equal(torch.stack([state.info["nonfinite"] for state in states]), outside)
    for state, end in zip(states, ends[1:], strict=True):
        kept = state.info["accepted"]
        assert adjust or torch.equal(kept, ~state.info["nonfinite"])
        assert torch.equal(torch.where(kept[:, None], end, x), state.x)
        assert (state.x < 2).all()
        x = state.x


@walls
def test_a_chain_that_starts_behind_the_wall_does_not_move(wall: Callable[[Tensor], Tensor]):
    x = torch.full((20, 1), 2.5)
    for state in HMC(steps=5, step_size=0.5).chain(wall, x, rng(12)):
        assert torch.equal(state.x, x)
        assert not state.info["accepted"].any()


def test_info_has_energy_and_gradient_where_the_step_began():
    x = torch.randn(50, 3, generator=rng())
    for state in HMC(steps=6, step_size=1.2, leapfrog=2).chain(square, x, rng(13)):
        torch.testing.assert_close(state.info["energy"], square(x))
        torch.testing.assert_close(state.info["gradient"], x)
        x = state.x


def test_images_are_accepted_or_rejected_one_by_one():
    x = torch.randn(4, 3, 8, 8, generator=rng())
    states = list(HMC(steps=10, step_size=0.35, leapfrog=3).chain(square, x, rng(14)))
    accepted = torch.stack([state.info["accepted"] for state in states])
    assert accepted.shape == (10, 4)
    assert not (accepted == accepted[:, :1]).all()
    for before, after in pairwise(states):
        moved = (after.x != before.x).flatten(1)
        assert torch.equal(moved.any(1), after.info["accepted"])
        assert torch.equal(moved.all(1), after.info["accepted"])


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"step_size": 0.0},
        {"step_size": math.nan},
        {"leapfrog": 0},
        {"mass": 0.0},
        {"mass": math.inf},
        {"mass": torch.tensor([1.0, 0.0])},
        {"mass": torch.tensor([1.0, math.nan])},
        {"mass": torch.tensor([1.0, math.inf])},
        {"temperature": 0.0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        HMC(**settings)
    assert "\n" not in str(caught.value)
