"""Underdamped: the kit's checks, its exact distribution on a Gaussian, and known limits."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from ebmkit_underdamped.sampler import Underdamped
from torch import Generator, Tensor

from ebmkit import EnergyFn, State, noise_like, value_and_grad
from ebmkit.samplers import HMC
from ebmkit.testing import conforms

N = 100_000
D = torch.float64
SETTINGS: dict[str, Any] = {"steps": 7, "step_size": 0.5, "friction": 0.8, "temperature": 0.6, "mass": 1.4}


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=D)


def precision(d: int) -> Tensor:
    """A random precision matrix whose eigenvalues are between 0.5 and 4."""
    basis, _ = torch.linalg.qr(normal(d, d, seed=1))
    return basis @ torch.diag(0.5 + 3.5 * torch.rand(d, generator=rng(2), dtype=D)) @ basis.T


def energy(x: Tensor) -> Tensor:
    """|x|² / 2 by a random precision matrix."""
    return (x @ precision(x.shape[1]) * x).sum(1) / 2


def worst_z(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """The largest |z| among all means and (co)variances of `x` `(N, d)`, against `(d,)` and `(d, d)`."""
    offset = x - mean
    products = (offset.unsqueeze(2) * offset.unsqueeze(1)).flatten(1) - covariance.flatten()
    both = torch.cat([offset, products], dim=1)
    return float((both.mean(0) / (both.std(0) / math.sqrt(len(x)))).abs().max())


def one_step(k: Tensor, step_size: float, friction: float, temperature: float, mass: float) -> tuple[Tensor, Tensor]:
    """BAOAB of the energy x·k·x / 2 as a map of (x, p): its matrix `(2d, 2d)`, and the covariance that it adds."""
    d, half = len(k), step_size / 2
    one, zero = torch.eye(d, dtype=D), torch.zeros(d, d, dtype=D)
    kick = torch.cat([torch.cat([one, zero], 1), torch.cat([-half * k, one], 1)])
    drift = torch.cat([torch.cat([one, half / mass * one], 1), torch.cat([zero, one], 1)])
    keep = math.exp(-friction * step_size)
    forget = torch.block_diag(one, keep * one)
    noise = torch.block_diag(zero, (1 - keep**2) * mass * temperature * one)
    after = kick @ drift
    return after @ forget @ drift @ kick, after @ noise @ after.T


def moments_z(sampler: Underdamped, d: int) -> float:
    """The largest |z| of the moments of the ends of `sampler` in `d` dimensions, against the chain with SETTINGS."""
    mean, root = torch.linspace(-2, 2, d, dtype=D), torch.tril(normal(d, d, seed=3))
    end = sampler.sample(energy, mean + normal(N, d, seed=4) @ root.T, rng(5))
    settings = {name: value for name, value in SETTINGS.items() if name != "steps"}
    step, added = one_step(precision(d), **settings)
    joint = torch.cat([mean, torch.zeros_like(mean)])
    covariance = torch.block_diag(root @ root.T, SETTINGS["mass"] * SETTINGS["temperature"] * torch.eye(d, dtype=D))
    for _ in range(SETTINGS["steps"]):
        joint, covariance = step @ joint, step @ covariance @ step.T + added
    return worst_z(end, joint[:d], covariance[:d, :d])


class Louder(Underdamped):
    """A mutant: the noise is the first-order one, sqrt(2 friction h)."""

    def refresh(self, momentum: Tensor, noise: Tensor) -> Tensor:
        time = self.friction * self.step_size
        return math.exp(-time) * momentum + math.sqrt(2 * time * self.mass * self.temperature) * noise


class Cold(Underdamped):
    """A mutant: the chain starts at rest."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        momentum = torch.zeros_like(x)
        for _ in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            momentum = self.kick(momentum, gradient)
            x = self.drift(x, momentum)
            momentum = self.refresh(momentum, noise_like(x, rng))
            x = self.drift(x, momentum)
            momentum = self.kick(momentum, value_and_grad(energy, x)[1])
            yield State(x, {"energy": value, "gradient": gradient})


class Unclosed(Underdamped):
    """A mutant: no step has a closing kick."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        momentum = math.sqrt(self.mass * self.temperature) * noise_like(x, rng)
        for _ in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            momentum = self.kick(momentum, gradient)
            x = self.drift(x, momentum)
            momentum = self.refresh(momentum, noise_like(x, rng))
            x = self.drift(x, momentum)
            yield State(x, {"energy": value, "gradient": gradient})


@conforms("sampler", Underdamped, steps=10)
def test_underdamped_conforms(check: Callable[[], None]):
    check()


@conforms("sampler", Underdamped, steps=10, step_size=0.3, friction=20.0, temperature=0.2, mass=2.5)
def test_underdamped_with_other_settings_conforms(check: Callable[[], None]):
    check()


@pytest.mark.parametrize("d", [3, 4, 5])
def test_the_distribution_after_k_steps_on_a_gaussian_is_exact(d: int):
    assert moments_z(Underdamped(**SETTINGS), d) < 5


@pytest.mark.parametrize("d", [3, 4, 5])
@pytest.mark.parametrize(
    "mutant",
    [{"steps": 6}, {"steps": 8}, {"step_size": 0.49}, {"friction": 0.7}, {"temperature": 0.63}, {"mass": 1.3}],
    ids=str,
)
def test_the_test_of_the_distribution_detects_each_setting(mutant: dict[str, Any], d: int):
    assert moments_z(Underdamped(**SETTINGS | mutant), d) > 5


@pytest.mark.parametrize("d", [3, 4, 5])
@pytest.mark.parametrize("mutant", [Louder, Cold, Unclosed])
def test_the_test_of_the_distribution_detects_mutants(mutant: type[Underdamped], d: int):
    assert moments_z(mutant(**SETTINGS), d) > 5


FREQUENCIES = [0.6, 1.0, 1.8]  # in units of one over the step; 2 is the limit of stability


@pytest.mark.parametrize("friction", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_the_stationary_distribution_is_the_target(frequency: float, friction: float):
    k, mass, temperature = 2.0, 1.4, 0.6
    step_size = frequency / math.sqrt(k / mass)
    step, added = one_step(torch.tensor([[k]], dtype=D), step_size, friction, temperature, mass)
    assert torch.linalg.eigvals(step).abs().max() < 1
    whole = torch.eye(4, dtype=D) - torch.kron(step, step)
    stationary = torch.linalg.solve(whole, added.flatten()).view(2, 2)
    assert math.isclose(stationary[0, 0], temperature / k, rel_tol=1e-9)


def stationary_z(sampler: Underdamped | HMC) -> float:
    """|z| of the moments of long chains of the energy x² against N(0, 0.6 / 2)."""
    end = sampler.sample(lambda x: x.square().sum(1), normal(N, 1, seed=6), rng(7))
    return worst_z(end, torch.zeros(1, dtype=D), torch.tensor([[0.3]], dtype=D))


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_long_chains_have_the_variance_of_the_target(frequency: float):
    step_size = frequency / math.sqrt(2.0)
    # After 150 steps the start no longer matters.
    step, _ = one_step(torch.tensor([[2.0]], dtype=D), step_size, 1.0, 0.6, 1.0)
    assert torch.linalg.eigvals(step).abs().max() ** 150 < 1e-6
    assert stationary_z(Underdamped(steps=150, step_size=step_size, temperature=0.6)) < 5


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_the_test_of_the_variance_detects_another_splitting(frequency: float):
    step_size = frequency / math.sqrt(2.0)
    assert stationary_z(HMC(steps=150, step_size=step_size, leapfrog=1, adjust=False, temperature=0.6)) > 5


def test_with_high_friction_noise_is_averaged_over_two_steps():
    drawn, x = rng(8), normal(20, 3)
    step_size, temperature, mass = 0.3, 0.7, 1.6
    size = step_size**2 / (2 * mass)
    sampler = Underdamped(steps=6, step_size=step_size, friction=1e6, temperature=temperature, mass=mass)
    before, first = noise_like(x, drawn), True
    for state in sampler.chain(energy, x, rng(8)):
        noise = noise_like(x, drawn)
        # The initial momenta have not been kicked yet: the first drift is half of the others.
        drift = size * (x @ precision(3)) / (2 if first else 1)
        torch.testing.assert_close(state.x, x - drift + math.sqrt(2 * size * temperature) * (before + noise) / 2)
        x, before, first = state.x, noise, False


def test_without_friction_a_step_is_a_leapfrog():
    x = normal(20, 3)
    sampler = Underdamped(steps=1, step_size=0.3, friction=1e-30, mass=1.6)
    leapfrog = HMC(leapfrog=1, step_size=0.3, mass=1.6)
    momentum = math.sqrt(1.6) * noise_like(x, rng(9))
    expected, *_ = leapfrog.leapfrogs(energy, x, momentum, value_and_grad(energy, x)[1])
    torch.testing.assert_close(sampler.sample(energy, x, rng(9)), expected)
