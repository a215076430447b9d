"""Chains of the posterior in closed form: |z| < 5, and mutants that are found."""

from typing import Any

import pytest
import torch
from ebmkit_latent.damc import DAMC
from ebmkit_latent.energy import Posterior
from ebmkit_latent.latent_ebm import LatentEBM
from torch import Generator, Tensor

from ebmkit import Accelerated, energy_values

S = 0.1
# By K, s and how many draws: the prior acts little in one step, and one step more little after many.
POWER = {1: (0.2, 100_000), 5: (0.1, 40_000), 20: (0.1, 40_000)}


def recursion(problem: Any, steps: int, s: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of Langevin on the posterior after `steps` steps from N(0, I), in double."""
    one = torch.eye(problem.d, dtype=torch.double)
    matrix = one - s**2 / 2 * problem.precision.double()
    mean, covariance = torch.zeros(problem.d, dtype=torch.double), one
    for _ in range(steps):
        mean = matrix @ mean + s**2 / 2 * problem.linear.double()
        covariance = matrix @ covariance @ matrix.T + s**2 * one
    return mean, covariance


def ends(problem: Any, kind: type = LatentEBM, *, steps: int, s: float, n: int) -> Tensor:
    """Where chains of the posterior of n copies of one example end, as an update runs them."""
    method = problem.method(kind, steps=steps, s=s, n=n)
    x = problem.x.repeat(n, 1)
    return method.run(method.posterior, method.posterior_chains(method.posterior_of(x)), method.noise(n, method.rng))[0]


class WrongSigma(LatentEBM):
    """The squared error is divided by σ², not by 2 σ²."""

    def posterior_of(self, x: Tensor) -> Posterior:
        return Posterior(self.energy, self.generator, x, self.sigma / 2**0.5)


class NoPrior(LatentEBM):
    """|z|²/2 is left out."""

    def posterior_of(self, x: Tensor) -> Posterior:
        class Without(Posterior):
            def forward(self, z: Tensor) -> Tensor:
                return super().forward(z) - z.square().sum(1) / 2

        return Without(self.energy, self.generator, x, self.sigma)


class NoEnergy(LatentEBM):
    """E is left out."""

    def posterior_of(self, x: Tensor) -> Posterior:
        class Without(Posterior):
            def forward(self, z: Tensor) -> Tensor:
                return super().forward(z) - energy_values(self.prior.energy, z)

        return Without(self.energy, self.generator, x, self.sigma)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_the_posterior_after_k_steps_is_the_gaussian_of_its_recursion(problem, worst_z, steps):
    s, n = POWER[steps]
    mean, covariance = recursion(problem, steps, s)
    found = {
        "right": worst_z(ends(problem, steps=steps, s=s, n=n), mean, covariance),
        "one step more": worst_z(ends(problem, steps=steps + 1, s=s, n=n), mean, covariance),
    }
    for mutant in (WrongSigma, NoPrior, NoEnergy):
        found[mutant.__name__] = worst_z(ends(problem, mutant, steps=steps, s=s, n=n), mean, covariance)
    assert found.pop("right") < 5
    assert min(found.values()) > 5


class Centred(Posterior):
    """A mutant: the error is taken from examples less their mean."""

    def forward(self, z: Tensor) -> Tensor:
        error = (self.x - self.x.mean(0) - self.generator(z)).square().flatten(1).sum(1)
        return self.prior(z) + error / (2 * self.sigma**2)


def moved(problem: Any, kind: type[Posterior]) -> list[int]:
    """Which of 8 chains end elsewhere if example 3 is another."""
    method = problem.method(steps=7, s=S, n=8)
    x = torch.randn(8, 5, generator=Generator().manual_seed(5))
    other = x.clone()
    other[3] += 1
    accelerated = Accelerated(kind(method.energy, method.generator, x, 0.3))
    found = []
    for given in (x, other):
        energy = accelerated.refreshed(kind(method.energy, method.generator, given, 0.3))
        start, rng = method.noise(8, Generator().manual_seed(6)), Generator().manual_seed(7)
        found.append(method.posterior.sample(energy, start, rng))
    return [row for row in range(8) if not torch.equal(found[0][row], found[1][row])]


def test_another_example_leaves_the_other_chains_bit_for_bit(problem):
    assert moved(problem, Posterior) == [3]
    assert moved(problem, Centred) == list(range(8))


class Oracle(DAMC):
    """DAMC whose diffusion is replaced by the Gaussian with the moments of what it should learn."""

    mean, root = torch.zeros(3), torch.eye(3)

    def jump(self, diffusion: Any, x: Tensor, rng: Generator) -> Tensor:
        return self.mean + self.noise(len(x), rng) @ self.root.T

    def fit_diffusion(self, x: Tensor, z: Tensor) -> Tensor:
        self.mean, self.root = z.mean(0), torch.linalg.cholesky(z.T.cov())
        self.ends = z
        return torch.zeros(())


@pytest.mark.parametrize(("steps", "rounds"), [(2, 40), (10, 8)])
def test_with_an_oracle_in_place_of_the_diffusion_chains_reach_the_stationary_distribution_of_langevin(
    problem, worst_z, steps, rounds
):
    """However short the chains: each update begins where those of the last one ended."""
    n, s = 5_000, 0.2
    method = problem.method(Oracle, steps=steps, s=s, n=n, embedding=2, width=2, distillations=1)
    x = problem.x.repeat(n, 1)
    mean, covariance = recursion(problem, 2000, s)
    method.update(x)
    assert worst_z(method.ends, mean, covariance) > 5  # a short run from noise
    for _ in range(rounds - 1):
        method.update(x)
    assert worst_z(method.ends, mean, covariance) < 5


def fixed_point(sigma: float, spread: float, steps: int, s: float) -> float:
    """The w > 0 at which K-step inference of x = w z + σ N(0, 1), x ~ N(0, spread), has no gradient; by bisection.

    From N(0, 1), z after K steps is c w x + N(0, v); at the optimum of the squared error, w E[z²] = E[x z], which is
    c² w² spread + v = c spread.
    """
    low, high = 0.5, 3.0
    for _ in range(60):
        w = (low + high) / 2
        keep = 1 - s**2 / 2 * (1 + w**2 / sigma**2)
        c = s**2 / 2 / sigma**2 * sum(keep**k for k in range(steps))
        v = keep ** (2 * steps) + s**2 * sum(keep ** (2 * k) for k in range(steps))
        low, high = (w, high) if c**2 * w**2 * spread + v < c * spread else (low, w)
    return (low + high) / 2


def test_probabilistic_pca_by_short_chains_has_its_biased_fixed_point(problem):
    """At the fixed point of K steps G has no gradient; at the maximum of the likelihood it has one."""
    sigma, spread, steps, s, n = 0.5, 4.0, 20, 0.2, 50_000
    biased, likelihood = fixed_point(sigma, spread, steps, s), (spread - sigma**2) ** 0.5
    found = {}
    for w in (biased, likelihood):
        problem.d, problem.sigma, problem.a, problem.c = 1, sigma, torch.zeros(1, 1), torch.zeros(1)
        problem.w, problem.b = torch.tensor([[w], *[[0.0]] * 4]), torch.zeros(5)
        method = problem.method(steps=steps, s=s, n=n)
        x = torch.zeros(n, 5)
        x[:, 0] = spread**0.5 * torch.randn(n, generator=Generator().manual_seed(8))
        z, measured = method.run(
            method.posterior, method.posterior_chains(method.posterior_of(x)), method.noise(n, method.rng)
        )
        method.fit_generator(x, z, measured)
        each = 2 * (w * z[:, 0] - x[:, 0]) * z[:, 0]
        torch.testing.assert_close(method.generator.w.grad[0, 0], each.mean(), rtol=1e-3, atol=1e-4)
        found[w] = float(each.mean() / (each.std() / n**0.5))
    assert abs(found[biased]) < 5
    assert abs(found[likelihood]) > 5
