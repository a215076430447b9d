"""Laws of unadjusted Langevin dynamics: its distribution is known for every K, and so is the stationary one."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit.energies.analytic import GaussianEnergy
from ebmkit.inits.gaussian import Gaussian as GaussianStart
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import EnergyFn, State, noise_like, value_and_grad
from ebmkit.samplers.langevin import Langevin
from laws.law import Law, moments_z, normal, rng, variance_z

N, STEP, NOISE = 50_000, 0.15, 0.3


class Uphill(Langevin):
    """Adds the gradient."""

    def drift(self, gradient: Tensor) -> Tensor:
        return -super().drift(gradient)


class OneNoise(Langevin):
    """Draws noise once, and adds it at every step."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        noise = self.noise * noise_like(x, rng)
        for _ in range(self.steps):
            x = x - self.drift(value_and_grad(energy, x)[1]) + noise
            yield State(x, {})


class SharedNoise(Langevin):
    """Adds the same noise to all examples."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        for _ in range(self.steps):
            x = x - self.drift(value_and_grad(energy, x)[1]) + self.noise * noise_like(x[:1], rng)
            yield State(x, {})


class NoiseFirst(Langevin):
    """Takes the gradient after the noise was added."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        for _ in range(self.steps):
            x = x + self.noise * noise_like(x, rng)
            x = x - self.drift(value_and_grad(energy, x)[1])
            yield State(x, {})


def precision(d: int) -> Tensor:
    root = normal(rng(3), d, d)
    return root @ root.T / d + 0.5 * torch.eye(d, dtype=torch.float64)


def finite_k(start: str, d: int, steps: int, *, kind: type[Langevin] = Langevin, extra: int = 0, **wrong: Any) -> float:
    """The ends of K steps against `m' = A m, C' = A C Aᵀ + noise² I`, A = I - step_size Λ."""
    generator, eye = rng(11), torch.eye(d, dtype=torch.float64)
    init = Uniform((d,), low=1.0, high=3.0) if start == "uniform" else GaussianStart((d,), mean=2.0, scale=0.5)
    x = init.sample(N, generator).double()
    mean, covariance = torch.full((d,), 2.0, dtype=torch.float64), eye * (1 / 3 if start == "uniform" else 0.25)
    keep = eye - STEP * precision(d)
    for _ in range(steps):
        mean, covariance = keep @ mean, keep @ covariance @ keep.T + NOISE**2 * eye
    sampler = kind(**{"steps": steps + extra, "step_size": STEP, "noise": NOISE, **wrong})
    return moments_z(sampler.sample(GaussianEnergy((d,), precision=precision(d)), x, generator), mean, covariance)


MUTANTS: dict[str, dict[str, Any]] = {
    "noise times √2": {"noise": NOISE * math.sqrt(2)},
    "noise 5 % too large": {"noise": NOISE * 1.05},
    "one step too many": {"extra": 1},
    "half the drift": {"step_size": STEP / 2},
    "drift uphill": {"kind": Uphill},
    "one noise for all examples": {"kind": SharedNoise},
    "noise before the gradient": {"kind": NoiseFirst},
}
LONGER: dict[str, dict[str, Any]] = {"one step too few": {"extra": -1}, "one noise for all steps": {"kind": OneNoise}}


def stationary(step: float, *, exact: bool = False, kind: type[Langevin] = Langevin, heat: float = 1.0) -> float:
    """Chains that start in N(0, T / (1 - s/2)) stay there, where T = noise² / (2 s) is the implied temperature."""
    generator = rng(21)
    correct = Langevin(steps=10, step_size=step, noise=0.5)
    variance = correct.implied_temperature / (1 if exact else 1 - step / 2)
    x = math.sqrt(variance) * normal(generator, 2 * N, 1)
    end = kind(steps=10, step_size=step, noise=0.5 * heat).sample(GaussianEnergy((1,)), x, generator)
    return variance_z(end, 0.0, variance)


def temperature(target: float, *, theory: float = 1.0, factor: float = math.sqrt(2), heat: float = 1.0) -> float:
    """With noise = sqrt(2 s T), chains from a point end in exp(-E/T), up to the known bias of the step size s."""
    step, steps, curvature = 0.01, 300, 2.0
    sampler = Langevin(steps=steps, step_size=step, noise=heat * factor * math.sqrt(step * target))
    start, generator = torch.ones(N // 2, 1, dtype=torch.float64), rng(int(10 * target))
    end = sampler.sample(GaussianEnergy((1,), precision=curvature), start, generator)
    keep = 1 - step * curvature
    variance = theory * target / curvature / (1 - step * curvature / 2) * (1 - keep ** (2 * steps))
    return variance_z(end, keep**steps, variance)


LAWS = [
    *(
        Law(
            f"Langevin, K = {steps} from {start} starts, d = {d}",
            "means and covariances are those of the linear recursion on a random Gaussian",
            partial(finite_k, start, d, steps),
            MUTANTS if steps == 1 else MUTANTS | LONGER,
        )
        for start, d, steps in [
            ("uniform", 5, 1),
            ("gaussian", 2, 3),
            ("uniform", 2, 8),
            ("gaussian", 5, 8),
            ("uniform", 5, 20),
        ]
    ),
    *(
        Law(
            f"Langevin, stationary, step size {step:g}",
            "N(0, T / (1 - s/2)) is invariant",
            partial(stationary, step),
            {
                "the exact target's variance": {"exact": True},
                "noise 5 % too large": {"heat": 1.05},
                "noise before the gradient": {"kind": NoiseFirst},
                "one noise for all steps": {"kind": OneNoise},
            },
        )
        for step in (0.1, 0.5, 0.9, 1.5)
    ),
    *(
        Law(
            f"Langevin, temperature {target:g}",
            "noise = sqrt(2 s T) makes chains from a point sample exp(-E/T)",
            partial(temperature, target),
            {
                "noise = sqrt(s T)": {"factor": 1.0},
                "noise 5 % too large": {"heat": 1.05},
                "another T in the theory": {"theory": 1.1},
            },
        )
        for target in (0.2, 3.0)
    ),
]
