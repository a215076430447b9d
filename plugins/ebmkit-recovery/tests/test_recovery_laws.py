"""Laws of recovery likelihood on Gaussian data, each with mutants that must break it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import gaussian_levels as gaussian
import pytest
import torch
from ebmkit_recovery.energy import GivenNoisier, LevelEnergies
from ebmkit_recovery.levels import Levels
from ebmkit_recovery.method import RecoveryLikelihood
from ebmkit_recovery.walk import Walk
from gaussian_levels import STRENGTH, D, Exact, four_levels, marginal, moments_z, normal, rng, worst_z
from torch import Generator, Tensor
from torch.optim import Optimizer

from ebmkit import Sampler, State, noise_like
from ebmkit.methods import Descent
from ebmkit.samplers import Langevin

N = 40_000
STEP: dict[str, Any] = {"steps": 5, "step_size": 0.06, "noise": 0.3}
EYE = torch.eye(2, dtype=D)


def method_of(network: Exact, levels: Levels, weighting: str = "noise") -> RecoveryLikelihood:
    """The method with this network and these levels, at rest."""
    method = object.__new__(Resting)
    method.network, method.levels, method.strength, method.slopes = network, levels, STRENGTH, []
    method.weights = torch.ones_like(levels.sigma) if weighting == "equal" else levels.sigma[0] / levels.sigma
    method.optimizer, method.sampler = torch.optim.SGD(network.parameters(), lr=0.0), Posterior()
    method.chains = lambda energy: energy
    method.begin(rng(3))
    return method


class Resting(RecoveryLikelihood):
    """The method, which keeps the gradients of its loss; its learning rate is 0."""

    def descend(self, loss: Tensor, optimizer: Optimizer, scalars: Any = None) -> Descent:
        found = super().descend(loss, optimizer, scalars)
        self.slopes.append(torch.cat([weight.grad.flatten() for weight in self.network.parameters()]))
        return found


@dataclass(frozen=True)
class Posterior(Sampler):
    """Exact draws of y given x_{t+1}, from the energies of the network; `pull` is a factor that a mutant changes."""

    pull: float = 1.0

    def chain(self, energy: GivenNoisier, x: Tensor, rng: Generator) -> Iterator[State]:
        mean, inverse = (one.detach()[energy.level] for one in (energy.network.means, energy.network.precisions))
        pull = self.pull * four_levels().pull[energy.level].unsqueeze(1)
        precision = inverse + pull.unsqueeze(2) * EYE
        force = (inverse @ mean.unsqueeze(2)).squeeze(2) + pull * energy.noisier
        root = torch.linalg.cholesky(precision.inverse())
        y = torch.linalg.solve(precision, force) + (root @ noise_like(x, rng).unsqueeze(2)).squeeze(2)
        yield State(y / energy.length, {})


# The posterior of y given x_{t+1}.


def posterior_z(level: int, levels: Levels) -> float:
    """How far pairs of the method are from the posterior of the energy and the pull of four_levels."""
    method, right = method_of(Exact(levels), levels), four_levels()
    at = torch.full((N,), level)
    x, noisier = method.pairs(gaussian.examples(N, seed=1), at)
    mean, covariance = marginal(right, level)
    precision = covariance.inverse() + right.pull[level] * EYE
    middle = torch.linalg.solve(precision, (covariance.inverse() @ mean + right.pull[level] * noisier).T).T
    rest = right.scale[level] * x - middle
    spread = (rest.unsqueeze(2) * rest.unsqueeze(1)).flatten(1) - precision.inverse().flatten()
    apart = (rest.unsqueeze(2) * noisier.unsqueeze(1)).flatten(1)
    return worst_z(torch.cat([rest, spread, apart], 1))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_pairs_have_the_posterior_of_the_energy_and_the_pull(level: int):
    assert posterior_z(level, four_levels()) < 5


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("change", [{"sigma": 1.1}, {"a": 0.95}, {"spread": 2.0}, {"kept": 0.95}], ids=str)
def test_the_test_of_pairs_detects_other_levels(level: int, change: dict[str, float]):
    levels = four_levels()
    changed = {name: factor * getattr(levels, name) for name, factor in change.items()}
    assert posterior_z(level, replace(levels, **changed)) > 5


# The walk down the levels.


def after_level(levels: Levels, level: int, mean: Tensor, covariance: Tensor, step: dict[str, Any]) -> tuple:
    """Moments of x_t after the chain of a level that starts at x_{t+1} of these moments: an affine recursion."""
    middle, wide = marginal(levels, level)
    unit = step["step_size"] * levels.length[level] ** 2
    stay = EYE - unit * (wide.inverse() + levels.pull[level] * EYE)
    # The state (y, x_{t+1}); the second half does not change.
    move = torch.cat([torch.cat([stay, unit * levels.pull[level] * EYE], 1), torch.cat([0 * EYE, EYE], 1)])
    shift = torch.cat([unit * wide.inverse() @ middle, torch.zeros(2, dtype=D)])
    noise = torch.block_diag((step["noise"] * levels.length[level]) ** 2 * EYE, 0 * EYE)
    both, joint = torch.cat([mean, mean]), torch.cat([covariance] * 2).repeat(1, 2)
    for _ in range(step["steps"]):
        both, joint = move @ both + shift, move @ joint @ move.T + noise
    scale = levels.scale[level]
    return both[:2] / scale, joint[:2, :2] / scale**2


def ends(levels: Levels, step: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of a sample of the walk, in closed form."""
    mean, covariance = torch.zeros(2, dtype=D), EYE
    for level in reversed(range(levels.count)):
        mean, covariance = after_level(levels, level, mean, covariance, step)
    return mean, covariance


class Skipping(Walk):
    """A mutant: the walk leaves one level out."""

    def chain(self, energy: LevelEnergies, x: Tensor, rng: Generator) -> Iterator[State]:
        with energy.conditionals(x) as given:
            for level in (3, 1, 0):
                length = self.levels.length[level]
                v = self.sampler.sample(given(x, torch.full((len(x),), level)), x / length, rng)
                x = v * length / self.levels.scale[level]
                yield State(x, {})


def walk_z(levels: Levels, walk: type[Walk] = Walk, **settings: Any) -> float:
    """The largest |z| of the moments of samples of a walk, against those of the walk with STEP and four_levels."""
    energy = LevelEnergies(Exact(four_levels()), levels, STRENGTH, lambda energy: lambda energy: energy)
    chain = walk(sampler=Langevin(**STEP | settings), levels=levels)
    return moments_z(chain.sample(energy, normal(N, 2, seed=4), rng(5)).detach(), *ends(four_levels(), STEP))


def test_samples_of_a_walk_have_the_moments_of_the_recursion():
    assert walk_z(four_levels()) < 5


@pytest.mark.parametrize("settings", [{"steps": 4}, {"steps": 6}, {"step_size": 0.066}, {"noise": 0.315}], ids=str)
def test_the_test_of_the_walk_detects_each_setting(settings: dict[str, Any]):
    assert walk_z(four_levels(), **settings) > 5


@pytest.mark.parametrize("change", [{"pull": 0.0}, {"pull": 1.2}, {"scale": 1.02}, {"length": 1.05}], ids=str)
def test_the_test_of_the_walk_detects_other_levels(change: dict[str, float]):
    levels = four_levels()
    changed = {name: factor * getattr(levels, name) for name, factor in change.items()}
    assert walk_z(replace(levels, **changed)) > 5


def test_the_test_of_the_walk_detects_a_level_that_is_left_out():
    assert walk_z(four_levels(), Skipping) > 5


def bias(step_size: float) -> float:
    """How far a walk with long chains of this step size ends from x_0, in the largest moment."""
    levels = four_levels()
    step = {"steps": round(8 / step_size), "step_size": step_size, "noise": (2 * step_size) ** 0.5}
    mean, covariance = ends(levels, step)
    due, wide = marginal(levels, 0)
    scale = levels.scale[0]
    return float(torch.cat([(mean - due / scale).abs(), (covariance - wide / scale**2).abs().flatten()]).max())


def test_the_walk_ends_at_the_data_as_the_step_size_falls():
    sizes = [0.008, 0.004, 0.002]
    found = [bias(size) for size in sizes]
    assert found[-1] < 0.02
    assert all(1.8 < large / small < 2.3 for large, small in pairwise(found)), found


# The optimum of the loss.


def slope_z(network: Exact, weighting: str = "noise", sampler: Sampler | None = None) -> float:
    """The largest |z| of the mean gradient of the loss by the weights of a network, with exact conditional samples."""
    method = method_of(network, four_levels(), weighting)
    method.sampler = sampler or Posterior()
    for update in range(100):
        method.update(gaussian.examples(300, seed=100 + update))
    return worst_z(torch.stack(method.slopes))


@pytest.mark.parametrize("weighting", ["noise", "equal"])
def test_the_loss_has_no_gradient_at_the_energies_of_the_data(weighting: str):
    assert slope_z(Exact(four_levels()), weighting) < 5


@pytest.mark.parametrize(
    "mutant",
    [
        lambda: slope_z(Exact(four_levels(), moved=0.1)),
        lambda: slope_z(Exact(four_levels(), wider=1.2)),
        lambda: slope_z(Exact(four_levels()), sampler=Posterior(pull=1.5)),
    ],
    ids=["means moved", "variances too large", "a pull of another strength"],
)
def test_the_test_of_the_optimum_detects(mutant: Callable[[], float]):
    assert mutant() > 5
