"""Laws at walls: a target is truncated where its energy is infinite or NaN."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import EnergyFn, value_and_grad
from ebmkit.samplers.hmc import HMC
from laws.law import Law, normal, rng, variance_z

N = 50_000


@dataclass(frozen=True)
class Walled:
    """The energy of a Gaussian inside a range, and the value `outside` beyond it."""

    mean: float
    variance: float
    low: float
    high: float
    outside: float

    def __call__(self, x: Tensor) -> Tensor:
        x = x.squeeze(1)
        inside = (x >= self.low) & (x <= self.high)
        return torch.where(inside, (x - self.mean).square() / (2 * self.variance), self.outside)

    def draw(self, n: int, rng: Generator) -> Tensor:
        x = self.mean + math.sqrt(self.variance) * normal(rng, 8 * n)
        return x[(x >= self.low) & (x <= self.high)][:n].unsqueeze(1)

    def moments(self) -> tuple[float, float]:
        """Mean and variance, by the trapezoidal rule."""
        x = torch.linspace(max(self.low, -10), min(self.high, 10), 100_001, dtype=torch.float64)
        density = torch.exp(-self(x.unsqueeze(1)))
        mean = torch.trapezoid(x * density, x) / torch.trapezoid(density, x)
        variance = torch.trapezoid((x - mean).square() * density, x) / torch.trapezoid(density, x)
        return float(mean), float(variance)


class Clamped(HMC):
    """Clamps proposals behind a wall to the wall."""

    def leapfrogs(
        self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        assert isinstance(energy, Walled)
        x, momentum, _, _ = super().leapfrogs(energy, x, momentum, gradient)
        x = x.clamp(energy.low, energy.high)
        return x, momentum, *value_and_grad(energy, x)


# exp(-x - x²) is a Gaussian around -1/2 of variance 1/2.
TARGETS = {
    "a normal distribution truncated above 2": partial(Walled, 0.0, 1.0, -math.inf, 2.0),
    "exp(-x - x²) on x ≥ 0": partial(Walled, -0.5, 0.5, 0.0, math.inf),
}


def wall(target: str, outside: float, *, kind: type[HMC] = HMC, seen: float | None = None, **wrong: Any) -> float:
    """Exact draws keep their mean and variance over 10 steps, many of which end behind the wall."""
    generator, correct = rng(41), TARGETS[target](outside)
    energy = TARGETS[target](outside if seen is None else seen)
    sampler = kind(**{"steps": 10, "step_size": 0.6 * energy.variance, "leapfrog": 3, **wrong})
    end = sampler.sample(energy, correct.draw(N, generator), generator)
    return variance_z(end, *correct.moments())


LAWS = [
    Law(
        f"HMC, {target}, energy {outside} behind the wall",
        "exact draws keep their mean and variance",
        partial(wall, target, outside),
        {
            "energy 0 behind the wall": {"seen": 0.0},
            "energy 3 behind the wall": {"seen": 3.0},
            "clamped to the wall": {"kind": Clamped},
            "no accept or reject": {"adjust": False},
        },
    )
    for target in TARGETS
    for outside in (math.inf, math.nan)
]
