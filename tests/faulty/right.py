"""Two correct samplers, split into methods in which faults are planted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import EnergyFn, Promises, Sampler, State, noise_like, per_example, value_and_grad


@dataclass(frozen=True, kw_only=True)
class Plain(Sampler):
    """Correct Langevin dynamics, in methods that a fault overrides.

    Args:
        steps: K, the length of one chain.
        noise: Standard deviation of the noise of a step.
    """

    steps: int = 10
    noise: float = 0.3

    def __post_init__(self) -> None:
        if not self.noise >= 0:
            raise ValueError(f"noise must be at least 0, not {self.noise}")

    @property
    def promises(self) -> Promises:
        return Promises(gradients=self.steps)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        for _ in range(self.steps):
            value, gradient = self.look(energy, x)
            x = self.move(x, gradient, rng)
            yield State(x, {"energy": value, "gradient": gradient})

    def look(self, energy: EnergyFn, x: Tensor) -> tuple[Tensor, Tensor]:
        return value_and_grad(energy, x)

    def move(self, x: Tensor, gradient: Tensor, rng: Generator) -> Tensor:
        return x - 0.1 * gradient + self.noise * noise_like(x, rng)


@dataclass(frozen=True, kw_only=True)
class Exact(Sampler):
    """Correct Metropolis-adjusted Langevin, in methods that a fault overrides.

    Args:
        steps: K, the length of one chain.
    """

    steps: int = 10

    @property
    def promises(self) -> Promises:
        return Promises(temperature=1.0, reversible=True, gradients=self.steps + 1)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        value, gradient = value_and_grad(energy, x)
        for _ in range(self.steps):
            end = self.propose(x, gradient, rng)
            value_end, gradient_end = value_and_grad(energy, end)
            log_ratio = self.log_ratio(x, value, gradient, end, value_end, gradient_end)
            finite = self.finite(end, value_end, gradient_end)
            uniform = torch.rand(len(x), generator=rng, dtype=torch.float32, device=x.device)
            keep = finite & (uniform.log() < log_ratio)
            info = {"energy": value, "gradient": gradient, "accepted": keep}
            x = self.choose(keep, end, x)
            value = torch.where(keep, value_end, value)
            gradient = torch.where(per_example(x, keep), gradient_end, gradient)
            yield State(x, info)

    def propose(self, x: Tensor, gradient: Tensor, rng: Generator) -> Tensor:
        return x - 0.1 * gradient + math.sqrt(0.2) * noise_like(x, rng)

    def log_ratio(self, x: Tensor, e: Tensor, g: Tensor, y: Tensor, f: Tensor, h: Tensor) -> Tensor:
        there, back = (y - x + 0.1 * g).square().flatten(1).sum(1), (x - y + 0.1 * h).square().flatten(1).sum(1)
        return e - f + (there - back) / 0.4

    def finite(self, y: Tensor, f: Tensor, h: Tensor) -> Tensor:
        return f.isfinite() & y.isfinite().flatten(1).all(1) & h.isfinite().flatten(1).all(1)

    def choose(self, keep: Tensor, y: Tensor, x: Tensor) -> Tensor:
        return torch.where(per_example(x, keep), y, x)
