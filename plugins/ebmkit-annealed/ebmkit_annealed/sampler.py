"""Langevin dynamics with decreasing noise."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Generator, Tensor

from ebmkit import EnergyFn, Promises, Sampler, State, check, noise_like, value_and_grad


@dataclass(frozen=True, kw_only=True)
class Annealed(Sampler):
    """Langevin dynamics whose noise decreases linearly along the chain.

    One step is `x' = x - step_size * dE/dx(x) + s N(0, I)`, where `s` decreases linearly from `noise` at the
    first step to `final_noise` at the last. The temperature changes with it, so none is implied.

    A chain of K steps takes K gradients.

    Args:
        steps: K, the length of one chain.
        step_size: Coefficient of the gradient in one step.
        noise: Standard deviation of the noise that the first step adds.
        final_noise: Standard deviation of the noise that the last step adds; a single step has `noise`.

    Raises:
        UsageError: if a setting is outside its range, or the noise would increase.
    """

    steps: int = 100
    step_size: float = 1.0
    noise: float = 0.1
    final_noise: float = 0.0

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("noise", self.noise, at_least=0)
        check("final_noise", self.final_noise, at_least=0, at_most=self.noise)

    @property
    def promises(self) -> Promises:
        """K gradients. There is no exact invariant distribution: nothing corrects the discretisation."""
        return Promises(gradients=self.steps, stochastic=self.noise > 0, translates=True)

    @property
    def noiseless(self) -> "Annealed":
        """Gradient descent with the same number of steps and the same step size."""
        return replace(self, noise=0.0, final_noise=0.0)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step; K gradients in all."""
        for step in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            x = x - self.step_size * gradient
            if self.noise:
                x = x + self.noise_at(step) * noise_like(x, rng)
            yield State(x, {"energy": value, "gradient": gradient})

    def noise_at(self, step: int) -> float:
        """Standard deviation of the noise of a step; steps are counted from 0."""
        share = step / max(1, self.steps - 1)
        return self.noise + share * (self.final_noise - self.noise)
