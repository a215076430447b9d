"""Tempering: the joint distribution of its replicas is invariant, and the cold one changes modes."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ebmkit_tempering.sampler import Replicas, Tempering, seen
from torch import Generator, Tensor

from ebmkit import Sampler
from ebmkit.samplers import HMC
from ebmkit.testing import conforms

N = 20_000
PRECISION = 0.8
SETTINGS: dict[str, Any] = {
    "steps": 6,
    "step_size": 1.4,
    "leapfrog": 2,
    "replicas": 4,
    "hottest": 6.0,
    "temperature": 0.7,
}
# Two modes far apart, with the shares 0.3 and 0.7.
MODES, SHARES, WIDTH = torch.tensor([-3.0, 3.0]), torch.tensor([0.3, 0.7]), 0.5


@conforms("sampler", Tempering, steps=10)
def test_tempering_conforms(check: Callable[[], None]):
    check()


@conforms("sampler", Tempering, steps=7, replicas=3, leapfrog=2, temperature=0.5, hottest=4.0)
def test_tempering_with_other_settings_conforms(check: Callable[[], None]):
    check()


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(x: Tensor) -> Tensor:
    """The energy of N(0, 1 / PRECISION) for each element."""
    return PRECISION * x.square().flatten(1).sum(1) / 2


def modes(x: Tensor) -> Tensor:
    """The energy of two narrow Gaussians with unequal shares."""
    return -torch.logsumexp(SHARES.log() - (x - MODES).square() / (2 * WIDTH**2), dim=1)


class WrongSign(Tempering):
    """A mutant whose exchanges use the opposite sign."""

    def exchange(self, replicas: Replicas, first: int, rng: Generator) -> tuple[Replicas, Tensor]:
        x, energy, gradient = replicas
        turned, swapped = super().exchange(Replicas(x, -energy, gradient), first, rng)
        return turned._replace(energy=-turned.energy), swapped


class AlwaysSwaps(Tempering):
    """A mutant that ignores the energies in exchanges."""

    def exchange(self, replicas: Replicas, first: int, rng: Generator) -> tuple[Replicas, Tensor]:
        x, energy, gradient = replicas
        flat, swapped = super().exchange(Replicas(x, 0 * energy, gradient), first, rng)
        return seen(gaussian, flat.x), swapped


class Reversed(Tempering):
    """A mutant with the ladder of temperatures reversed."""

    def temperatures(self, energy: Tensor) -> Tensor:
        return super().temperatures(energy).flip(0)


def joint_z(sampler: Tempering) -> float:
    """The largest |z| of the moments of replicas that are drawn from the joint distribution of SETTINGS and moved."""
    generator = rng(1)
    ladder = 0.7 * torch.tensor([1.0, 6 ** (1 / 3), 6 ** (2 / 3), 6.0], dtype=torch.float64)
    variance = (ladder / PRECISION).view(4, 1, 1)
    draws = torch.randn(4, N, 2, generator=generator, dtype=torch.float64) * variance.sqrt()
    replicas = seen(gaussian, draws)
    kept, exchanged = [], []
    for step in range(SETTINGS["steps"]):
        replicas, accepted, _ = sampler.move(gaussian, replicas, generator)
        replicas, swapped = sampler.exchange(replicas, step % 2, generator)
        kept.append(accepted.double().mean(1))
        exchanged.append(swapped.double().mean())
    if type(sampler) is Tempering:
        assert 0.2 < torch.stack(kept).min() < torch.stack(kept).max() < 0.95
        assert torch.stack(exchanged).min() > 0.1
    x = replicas.x / variance.sqrt()
    across = x.prod(2, keepdim=True)
    neighbours = torch.cat([x[:-1, :, :1] * x[1:, :, :1], across[:1]])
    values = torch.cat([x, x.square() - 1, across, neighbours], dim=2)
    return float((values.mean(1) / (values.std(1) / math.sqrt(N))).abs().max())


def test_steps_leave_the_joint_distribution_invariant():
    assert joint_z(Tempering(**SETTINGS)) < 5


@pytest.mark.parametrize("mutant", [WrongSign, AlwaysSwaps, Reversed])
def test_the_test_of_invariance_detects_wrong_exchanges(mutant: type[Tempering]):
    assert joint_z(mutant(**SETTINGS)) > 5


@pytest.mark.parametrize("wrong", [{"temperature": 0.8}, {"hottest": 5.0}], ids=str)
def test_the_test_of_invariance_detects_other_ladders(wrong: dict[str, Any]):
    assert joint_z(Tempering(**SETTINGS | wrong)) > 5


def exchange_z(factor: float) -> float:
    """|z| of the share of exchanges of one pair with known energies, against the Metropolis rule."""
    sampler = Tempering(replicas=2, temperature=0.5, hottest=4.0)
    energy = torch.tensor([[1.0], [2.5]]).expand(2, N)
    _, swapped = sampler.exchange(Replicas(torch.zeros(2, N, 1), energy, torch.zeros(2, N, 1)), 0, rng(2))
    share = math.exp(factor * (1 / 0.5 - 1 / 2.0) * (1.0 - 2.5))
    return abs(float(swapped[0].double().mean() - share)) / math.sqrt(share * (1 - share) / N)


def test_neighbours_exchange_by_the_metropolis_rule():
    assert exchange_z(1.0) < 5
    assert exchange_z(1.1) > 5


def test_a_lower_energy_always_moves_to_the_colder_replica():
    x = torch.tensor([[[2.0], [1.0]], [[1.0], [1.0]], [[1.0], [0.5]]])
    replicas = seen(gaussian, x)
    swapped_first, which = Tempering(replicas=3).exchange(replicas, 0, rng())
    assert which[:, 0].tolist() == [True, True, False]
    assert swapped_first.x[:, 0].tolist() == [[1.0], [2.0], [1.0]]
    swapped_second, which = Tempering(replicas=3).exchange(replicas, 1, rng())
    assert which[:, 1].tolist() == [False, True, True]
    assert swapped_second.x[:, 1].tolist() == [[1.0], [0.5], [1.0]]
    for after in (swapped_first, swapped_second):
        for found, expected in zip(after, seen(gaussian, after.x), strict=True):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_replicas_with_energies_not_finite_are_not_exchanged(bad: float, place: int):
    energy = torch.zeros(2, 100)
    energy[place] = bad
    x = torch.arange(200.0).view(2, 100, 1)
    after, swapped = Tempering(replicas=2).exchange(Replicas(x, energy, x), 0, rng())
    assert torch.equal(after.x, x)
    assert not swapped.any()


def test_even_and_odd_pairs_alternate():
    steps = list(Tempering(steps=4, replicas=3, step_size=0.2).chain(gaussian, torch.randn(500, 2), rng()))
    swapped = torch.stack([state.info["swapped"] for state in steps])
    assert swapped.shape == (4, 500)
    assert swapped.any(1).tolist() == [True, False, True, False]


def test_the_ladder_is_geometric():
    temperatures = Tempering(replicas=3, temperature=0.5, hottest=16.0).temperatures(torch.zeros(3, 1))
    torch.testing.assert_close(temperatures, torch.tensor([[0.5], [2.0], [8.0]]))


def test_moves_grow_with_the_root_of_the_temperature():
    sampler = Tempering(replicas=3, hottest=16.0, leapfrog=1)
    x = torch.zeros(3, N, 2, dtype=torch.float64)
    moved, _, _ = sampler.move(lambda x: 0 * x.sum(1), seen(lambda x: 0 * x.sum(1), x), rng(3))
    stride = (moved.x / 0.1).square() / torch.tensor([1.0, 4.0, 16.0]).view(3, 1, 1) - 1
    assert float((stride.mean((1, 2)) / (stride.flatten(1).std(1) / math.sqrt(2 * N))).abs().max()) < 5
    assert moved.x.std() > 0.1


def share_z(ends: Tensor) -> float:
    """|z| of the share of `ends` in the second mode, against its share of the density."""
    share = float(SHARES[1])
    return abs(float((ends > 0).double().mean() - share)) / math.sqrt(share * (1 - share) / len(ends))


def test_tempering_visits_both_modes_and_hmc_does_not():
    start = torch.full((1000, 1), -3.0)
    common: dict[str, Any] = {"step_size": 0.4, "leapfrog": 3}
    tempered = Tempering(steps=500, replicas=5, hottest=24.0, **common).sample(modes, start, rng(4))
    assert share_z(tempered) < 5
    assert share_z(HMC(steps=500, **common).sample(modes, start, rng(4))) > 5


def cold_z(sampler: Sampler) -> float:
    """|z| of the moments of exact draws of the cold distribution after one step of a chain."""
    x = torch.randn(N, 4, generator=rng(5), dtype=torch.float64) / math.sqrt(PRECISION)
    square = PRECISION * sampler.sample(gaussian, x, rng(6)).square() - 1
    return abs(float(square.mean() / (square.std() / math.sqrt(square.numel()))))


def test_a_short_chain_does_not_keep_the_cold_distribution():
    sampler = Tempering(steps=1, step_size=1.0, leapfrog=1, replicas=2)
    assert cold_z(sampler) > 5 > cold_z(HMC(steps=1, step_size=1.0, leapfrog=1))
    assert sampler.promises.temperature is None


def test_proposals_not_finite_are_rejected_and_reported():
    def wall(x: Tensor) -> Tensor:
        return torch.where(x.squeeze(1) < 1, gaussian(x), math.inf)

    x, seen_nonfinite = torch.zeros(500, 1), 0
    for state in Tempering(steps=10, step_size=0.9, leapfrog=1).chain(wall, x, rng(7)):
        still = ~state.info["accepted"] & ~state.info["swapped"]
        assert (state.x < 1).all()
        assert torch.equal(state.x[still], x[still])
        assert not (state.info["accepted"] & state.info["nonfinite"]).any()
        seen_nonfinite += int(state.info["nonfinite"].sum())
        x = state.x
    assert seen_nonfinite > 100


def test_all_replicas_of_all_examples_are_one_batch():
    sizes: list[int] = []

    def noting(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return gaussian(x)

    sampler = Tempering(steps=3, leapfrog=2, replicas=5)
    sampler.sample(noting, torch.ones(4, 1, 2, 2), rng())
    assert sizes == [20] * 7
    assert sampler.promises.gradients == sum(sizes) / 4
