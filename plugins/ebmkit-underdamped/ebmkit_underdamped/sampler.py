"""Kinetic Langevin dynamics, on examples of any shape."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Generator, Tensor

from ebmkit import EnergyFn, Promises, Sampler, State, check, noise_like, value_and_grad


@dataclass(frozen=True, kw_only=True)
class Underdamped(Sampler):
    """Kinetic (underdamped) Langevin dynamics for exp(-E / temperature), by the splitting BAOAB.

    The equations are `dx = p / mass dt` and `dp = -dE/dx dt - friction p dt + sqrt(2 friction mass temperature) dW`.
    One step of time `h = step_size`, with `c = exp(-friction h)`, is

        B: p = p - h/2 dE/dx(x)
        A: x = x + h/2 p / mass
        O: p = c p + sqrt((1 - c²) mass temperature) N(0, I)
        A: x = x + h/2 p / mass
        B: p = p - h/2 dE/dx(x)

    The chain starts with momenta `p ~ N(0, mass temperature)`. Nothing corrects the discretisation, but on a
    quadratic energy the stationary distribution of x is exp(-E / temperature) for every stable step_size.

    A chain of n steps takes `n + 1` gradients: the gradient of the last kick is reused by the next step.

    Source: Leimkuhler and Matthews, "Rational construction of stochastic numerical methods for molecular sampling"
    (Applied Mathematics Research eXpress 2013), the scheme BAOAB.

    Args:
        steps: K, the length of one chain.
        step_size: Time of one step.
        friction: Rate at which momenta decay, in units of one over time.
        temperature: Temperature T of the target exp(-E/T).
        mass: Mass of each coordinate.

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 100
    step_size: float = 0.1
    friction: float = 1.0
    temperature: float = 1.0
    mass: float = 1.0

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("friction", self.friction, above=0)
        check("temperature", self.temperature, above=0)
        check("mass", self.mass, above=0)

    @property
    def implied_temperature(self) -> float:
        """The setting `temperature`."""
        return self.temperature

    @property
    def promises(self) -> Promises:
        """K + 1 gradients. There is no exact invariant distribution: nothing corrects the discretisation."""
        return Promises(gradients=self.steps + 1)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step; momenta are drawn first, then the noise of each step."""
        momentum = math.sqrt(self.mass * self.temperature) * noise_like(x, rng)
        value, gradient = value_and_grad(energy, x)
        for _ in range(self.steps):
            info = {"energy": value, "gradient": gradient}
            momentum = self.kick(momentum, gradient)
            x = self.drift(x, momentum)
            momentum = self.refresh(momentum, noise_like(x, rng))
            x = self.drift(x, momentum)
            value, gradient = value_and_grad(energy, x)
            momentum = self.kick(momentum, gradient)
            yield State(x, info)

    def kick(self, momentum: Tensor, gradient: Tensor) -> Tensor:
        """B: the momenta after half a step under the force."""
        return momentum - self.step_size / 2 * gradient

    def drift(self, x: Tensor, momentum: Tensor) -> Tensor:
        """A: the examples after half a step with these momenta."""
        return x + self.step_size / (2 * self.mass) * momentum

    def refresh(self, momentum: Tensor, noise: Tensor) -> Tensor:
        """O: the momenta after a whole step of friction and noise, which leaves N(0, mass temperature) invariant."""
        time = self.friction * self.step_size
        spread = math.sqrt(-math.expm1(-2 * time) * self.mass * self.temperature)
        return math.exp(-time) * momentum + spread * noise
