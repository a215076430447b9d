"""Laws of learning: the parameters that training finds, with exact negatives and with those of short chains.

With `lr = 1 / (slope t)` at update t, where slope is the derivative of the expected gradient at its zero, the last
parameters are as precise as an average over all batches: their standard error is known.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.energies.analytic import GaussianEnergy
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, State
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.samplers.langevin import Langevin
from laws.law import Law, normal, rng

UPDATES, BATCH = 200, 400
CENTRE = torch.tensor([0.7, -1.2, 0.4], dtype=torch.float64)
# Chains start around START with variance SPREAD, elements independent.
START, SPREAD, RATE, NOISE = 0.5, 0.25, 0.3, 0.2
# Standard deviation of the data for the precision.
SCALE = 0.4


class Exact(Sampler):
    """One step that draws exactly from exp(-E), for a Gaussian E."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        assert isinstance(energy, GaussianEnergy)
        yield State(energy.draw(len(x), rng), {})


class Cloud(InitDistribution):
    """Gaussian starts in double precision."""

    def __init__(self, d: int, mean: float) -> None:
        self.d, self.mean = d, mean

    def sample(self, n: int, rng: Generator) -> Tensor:
        return self.mean + math.sqrt(SPREAD) * normal(rng, n, self.d)


class Spring(nn.Module):
    """E(x) = λ x² / 2 with the parameter λ."""

    def __init__(self, stiffness: float) -> None:
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(stiffness, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.stiffness * x.square().sum(1) / 2


def train(
    energy: nn.Module, sampler: Sampler, init: InitDistribution, batch: Callable[[], Tensor], lr: float, **wrong: Any
) -> None:
    """Run UPDATES updates with lr / t."""
    optimizer = torch.optim.SGD(energy.parameters(), lr=lr, **wrong)
    trainer = Trainer(energy, sampler, init, optimizer, rng(61), schedule=lambda index: 1 / index)
    for _ in range(UPDATES):
        trainer.update(batch())


def gradient(*, sign: float = 1.0, weight: float = 0.0) -> float:
    """How far the gradient of one update is from mean(fake) - mean(batch), in units of 2e-7: 5 of them are 1e-6."""
    energy = GaussianEnergy((3,), mean=torch.full((3,), 0.3, dtype=torch.float64))
    optimizer = torch.optim.SGD(energy.parameters(), lr=0.1)
    trainer = Trainer(energy, Langevin(steps=5), Cloud(3, START), optimizer, rng(62), energy_l2=weight)
    batch = CENTRE + normal(rng(63), BATCH, 3)
    fake = trainer.update(batch).fake
    assert energy.mean.grad is not None
    return float((energy.mean.grad - sign * (fake.mean(0) - batch.mean(0))).abs().max()) / 2e-7


def mean_exact(*, shift: float = 0.0, **wrong: Any) -> float:
    """The learned mean of |x - mean|²/2 with exact negatives, against the mean of all batches."""
    energy, generator, seen = GaussianEnergy((3,), mean=torch.full((3,), 5.0, dtype=torch.float64)), rng(64), []

    def batch() -> Tensor:
        seen.append(CENTRE + normal(generator, BATCH, 3))
        return seen[-1]

    train(energy, Exact(), Cloud(3, START), batch, 1.0, **wrong)
    # What remains is the noise of the negatives, of unit variance.
    error = energy.mean.detach() - torch.cat(seen).mean(0) - shift
    return float(error.abs().max()) * math.sqrt(UPDATES * BATCH)


def mean_short(steps: int, *, extra: int = 0, mle: bool = False, **wrong: Any) -> float:
    """The learned mean with K-step negatives: (1-s)^K START + (1 - (1-s)^K) mean = mean(data)."""
    energy, generator = GaussianEnergy((3,), mean=torch.full((3,), 5.0, dtype=torch.float64)), rng(65)
    kept = (1 - RATE) ** steps
    sampler = Langevin(steps=steps, step_size=RATE, noise=NOISE)
    train(energy, sampler, Cloud(3, START), lambda: CENTRE + normal(generator, BATCH, 3), 1 / (1 - kept), **wrong)
    theory = (1 - RATE) ** (steps + extra)
    fixed = CENTRE if mle else (CENTRE - theory * START) / (1 - theory)
    shaken = NOISE**2 * (1 - kept**2) / (1 - (1 - RATE) ** 2)
    error = math.sqrt((1 + kept**2 * SPREAD + shaken) / (UPDATES * BATCH)) / (1 - kept)
    return float((energy.mean.detach() - fixed).abs().max()) / error


def second_moment(stiffness: float, steps: int) -> float:
    """E[x²] after K steps on λ x²/2 from starts of mean 0."""
    shrink = (1 - RATE * stiffness) ** 2
    return shrink**steps * SPREAD + NOISE**2 * sum(shrink**step for step in range(steps))


def fixed_stiffness(steps: int) -> float:
    """The λ whose K-step second moment is that of the data, by bisection over the λ whose steps do not overshoot."""
    low, high = 0.0, 1 / RATE
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if second_moment(middle, steps) > SCALE**2 else (low, middle)
    return low


def precision_short(steps: int, *, extra: int = 0, mle: bool = False, **wrong: Any) -> float:
    """The learned λ of λ x²/2 with K-step negatives, for which their second moment is that of the data."""
    theory, generator = fixed_stiffness(steps), rng(66)
    slope = (second_moment(theory - 1e-5, steps) - second_moment(theory + 1e-5, steps)) / 4e-5
    energy, sampler = Spring(theory + 0.1), Langevin(steps=steps, step_size=RATE, noise=NOISE)
    train(energy, sampler, Cloud(1, 0.0), lambda: SCALE * normal(generator, BATCH, 1), 1 / slope, **wrong)
    # Half of x² has variance SCALE⁴ / 2 in the data, and as much in the negatives, which are Gaussian as well.
    error = SCALE**2 / slope / math.sqrt(UPDATES * BATCH)
    fixed = 1 / SCALE**2 if mle else fixed_stiffness(steps + extra)
    return (energy.stiffness.item() - fixed) / error


SHORT: dict[str, dict[str, Any]] = {
    "the maximum of the likelihood in the theory": {"mle": True},
    "one step more in the theory": {"extra": 1},
    "gradient of the wrong sign": {"maximize": True},
}
FEWER = {"one step less in the theory": {"extra": -1}}

LAWS = [
    Law(
        "learning, gradient",
        "on (x - μ)²/2 it is mean(fake) - mean(batch) to 1e-6 (exact, in units of 2e-7)",
        gradient,
        {"the other sign": {"sign": -1.0}, "with an added penalty": {"weight": 1e-5}},
    ),
    Law(
        "learning, exact negatives",
        "training finds the mean of the data, the maximum of the likelihood",
        mean_exact,
        {"the mean moved by 0.05": {"shift": 0.05}, "gradient of the wrong sign": {"maximize": True}},
    ),
    *(
        Law(
            f"learning, mean by chains of K = {steps}",
            "training finds μ with (1-s)^K m₀ + (1 - (1-s)^K) μ = mean(data): biased, and known",
            partial(mean_short, steps),
            SHORT if steps == 1 else SHORT | FEWER,
        )
        for steps in (1, 4)
    ),
    *(
        Law(
            f"learning, precision by chains of K = {steps}",
            "training finds λ at which the chains' second moment is that of the data: the paper's moment matching",
            partial(precision_short, steps),
            SHORT if steps == 1 else SHORT | FEWER,
        )
        for steps in (1, 3)
    ),
]
