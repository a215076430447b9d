"""Mala: the kit's checks, its equality with HMC of one leapfrog, its invariant distribution, and walls."""

import math
from collections.abc import Callable

import pytest
import torch
from ebmkit_mala.sampler import Mala
from torch import Generator, Tensor

from ebmkit import value_and_grad
from ebmkit.samplers import HMC
from ebmkit.testing import conforms

N = 100_000
D = torch.float64
TEMPERATURE = 0.7
PRECISION = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=D)
COVARIANCE = TEMPERATURE * torch.linalg.inv(PRECISION)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=D)


def gaussian(x: Tensor) -> Tensor:
    """The energy whose exp(-E / TEMPERATURE) is N(0, COVARIANCE)."""
    return (x @ PRECISION * x).sum(1) / 2


def quartic(x: Tensor) -> Tensor:
    return (x.square().flatten(1).sum(1) - 1).square() + x.flatten(1).sum(1) / 3


def worst_z(values: Tensor) -> float:
    """The largest |z| of the means of the columns of `values` `(N, ...)` against 0."""
    return float((values.mean(0) / (values.std(0) / math.sqrt(len(values)))).abs().max())


def moments(x: Tensor) -> Tensor:
    """Columns whose means are 0 if `x` is drawn from N(0, COVARIANCE)."""
    return torch.cat([x, (x.unsqueeze(2) * x.unsqueeze(1) - COVARIANCE).flatten(1)], dim=1)


@conforms("sampler", Mala, steps=10)
def test_mala_conforms(check: Callable[[], None]):
    check()


@conforms("sampler", Mala, steps=10, step_size=0.3, temperature=0.2)
def test_mala_at_another_temperature_conforms(check: Callable[[], None]):
    check()


# A high target keeps the steps short: with long ones, the derivative of the warmup is too large for finite differences.
@conforms("sampler", Mala, steps=30, warmup=20, target=0.9)
def test_mala_with_a_warmup_conforms(check: Callable[[], None]):
    check()


def test_the_chain_equals_that_of_hmc_with_one_leapfrog():
    time = 0.6
    x = normal(50, 3, seed=1)
    mala = Mala(steps=40, step_size=time**2 / 2, temperature=TEMPERATURE)
    hmc = HMC(steps=40, step_size=time, leapfrog=1, temperature=TEMPERATURE)
    accepted = 0
    for one, other in zip(mala.chain(quartic, x, rng(2)), hmc.chain(quartic, x, rng(2)), strict=True):
        torch.testing.assert_close(one.x, other.x, rtol=0, atol=1e-12)
        for name in ("accepted", "nonfinite"):
            assert torch.equal(one.info[name], other.info[name])
        for name in ("energy", "gradient"):
            torch.testing.assert_close(one.info[name], other.info[name], rtol=0, atol=1e-11)
        accepted += int(one.info["accepted"].sum())
    assert 200 < accepted < 1800


def test_the_log_acceptance_equals_that_of_hmc():
    time = 0.6
    x, noise = normal(50, 3, seed=1), normal(50, 3, seed=2)
    value, gradient = value_and_grad(quartic, x)
    hmc = HMC(step_size=time, leapfrog=1, temperature=TEMPERATURE)
    momentum = TEMPERATURE**0.5 * noise
    end, momentum_end, value_end, gradient_end = hmc.leapfrogs(quartic, x, momentum, gradient)
    change = value_end + hmc.kinetic(momentum_end) - value - hmc.kinetic(momentum)
    mala = Mala(step_size=time**2 / 2, temperature=TEMPERATURE)
    size = torch.full((50,), mala.step_size, dtype=D)
    torch.testing.assert_close(mala.proposal(x, gradient, noise, size), end, rtol=0, atol=1e-12)
    log_ratio = (value - value_end) / TEMPERATURE + mala.correction(gradient, gradient_end, noise, size)
    torch.testing.assert_close(log_ratio, -change / TEMPERATURE, rtol=1e-12, atol=1e-12)


def test_the_correction_is_the_ratio_of_the_proposals_densities():
    x, noise = normal(50, 3, seed=1), normal(50, 3, seed=2)
    size = 0.05 + torch.rand(50, generator=rng(3), dtype=D)
    mala = Mala(temperature=TEMPERATURE)
    _, gradient = value_and_grad(quartic, x)
    end = mala.proposal(x, gradient, noise, size)
    _, gradient_end = value_and_grad(quartic, end)

    def log_density(there: Tensor, here: Tensor, slope: Tensor) -> Tensor:
        spread = (2 * size * TEMPERATURE).sqrt().unsqueeze(1)
        return torch.distributions.Normal(here - size.unsqueeze(1) * slope, spread).log_prob(there).sum(1)

    expected = log_density(x, end, gradient_end) - log_density(end, x, gradient)
    torch.testing.assert_close(mala.correction(gradient, gradient_end, noise, size), expected, rtol=1e-10, atol=1e-10)


class Uncorrected(Mala):
    """A mutant: the Metropolis rule of a symmetric proposal."""

    def correction(self, gradient: Tensor, gradient_end: Tensor, noise: Tensor, size: Tensor) -> Tensor:
        return torch.zeros_like(size)


class Accepting(Mala):
    """A mutant: nearly every proposal is accepted."""

    def correction(self, gradient: Tensor, gradient_end: Tensor, noise: Tensor, size: Tensor) -> Tensor:
        return torch.full_like(size, 1e6)


class Shaking(Mala):
    """A mutant: the noise ignores the temperature."""

    def proposal(self, x: Tensor, gradient: Tensor, noise: Tensor, size: Tensor) -> Tensor:
        return super().proposal(x, gradient, noise / self.temperature**0.5, size)


def invariance_z(kind: type[Mala] = Mala, temperature: float = TEMPERATURE) -> float:
    """The largest |z| of the means and (co)variances of exact draws after 6 steps."""
    start = normal(N, 2, seed=4) @ torch.linalg.cholesky(COVARIANCE).T
    sampler = kind(steps=6, step_size=0.6, temperature=temperature)
    *_, last = sampler.chain(gaussian, start, rng(5))
    assert last.info["accepted"].double().mean() > 0.1
    return worst_z(moments(last.x))


def test_exact_draws_of_a_correlated_gaussian_stay_exact():
    assert invariance_z() < 5


@pytest.mark.parametrize("mutant", [Uncorrected, Accepting, Shaking])
def test_the_test_of_invariance_detects_mutants(mutant: type[Mala]):
    assert invariance_z(mutant) > 5


def test_the_test_of_invariance_detects_another_temperature():
    assert invariance_z(temperature=1.05 * TEMPERATURE) > 5


def half_normal(beyond: float) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.where(x[:, 0] > 0, x.square().sum(1) / 2, beyond)


def wall_z(energy: Callable[[Tensor], Tensor]) -> tuple[float, Tensor]:
    """|z| of the moments of exact draws of a half normal after 6 steps, and where they are."""
    end = Mala(steps=6, step_size=0.5).sample(energy, normal(N, 1, seed=6).abs(), rng(7))
    both = torch.cat([end - math.sqrt(2 / math.pi), end.square() - 1], dim=1)
    return worst_z(both), end


@pytest.mark.parametrize("beyond", [math.inf, math.nan])
def test_a_wall_truncates_the_target_and_is_never_crossed(beyond: float):
    found, end = wall_z(half_normal(beyond))
    assert found < 5
    assert bool((end > 0).all())


def test_the_test_of_the_wall_detects_a_missing_wall():
    assert wall_z(lambda x: x.square().sum(1) / 2)[0] > 5


@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize("beyond", [math.inf, math.nan])
def test_chains_stay_where_the_energy_is_not_finite(beyond: float, warmup: int):
    x = torch.tensor([[-1.0], [1.0]], dtype=D)
    end = Mala(steps=20, step_size=0.5, warmup=warmup).sample(half_normal(beyond), x, rng(8))
    assert (end != x).squeeze(1).tolist() == [False, True]


def test_a_proposal_that_is_not_finite_is_rejected_and_reported():
    states = list(Mala(steps=30, step_size=0.5).chain(half_normal(math.nan), torch.full((8, 1), 0.1), rng(9)))
    accepted = torch.stack([state.info["accepted"] for state in states])
    nonfinite = torch.stack([state.info["nonfinite"] for state in states])
    assert nonfinite.any()
    assert not (accepted & nonfinite).any()


def test_a_state_has_the_step_size_of_its_step():
    for state in Mala(steps=3, step_size=0.25).chain(gaussian, normal(4, 2), rng()):
        assert state.info["step_size"].tolist() == [0.25] * 4
