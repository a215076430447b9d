"""Langevin dynamics, the sampler of the paper."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Generator, Tensor

from ebmkit.errors import check
from ebmkit.interfaces import EnergyFn, Promises, Sampler, State, noise_like, per_example, value_and_grad


@dataclass(frozen=True, kw_only=True)
class Langevin(Sampler):
    """Langevin dynamics with drift and noise set independently, as in the code of the paper.

    One step is `x' = x - step_size * dE/dx(x) + noise * N(0, I)`. This is the discretised Langevin equation
    `x' = x - (s²/2) dU/dx + s N(0, I)` of the density `exp(-U)` with `s = noise` and `U = E / implied_temperature`.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, equation 4; the default values are those of its released code.

    Args:
        steps: How many steps one chain takes: the paper's K.
        step_size: Coefficient of the gradient in one step.
        noise: Standard deviation of the noise that one step adds.
        clip: Bound on the magnitude of each element of the drift of a step; none leaves it unbounded.
        clip_norm: Bound on the Euclidean norm of the drift of each example in a step; none leaves it unbounded.
        clamp: Range that examples are clamped to after each step; none leaves them unbounded, as in the paper.

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 100
    step_size: float = 1.0
    noise: float = 0.01
    clip: float | None = None
    clip_norm: float | None = None
    clamp: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("noise", self.noise, at_least=0)
        if self.clip is not None:
            check("clip", self.clip, above=0)
        if self.clip_norm is not None:
            check("clip_norm", self.clip_norm, above=0)
        if self.clamp is not None:
            check("clamp's upper end", self.clamp[1], above=self.clamp[0])

    @property
    def implied_temperature(self) -> float:
        """T of the density exp(-E/T) whose Langevin equation a step discretises: noise² / (2 step_size)."""
        return self.noise**2 / (2 * self.step_size)

    @property
    def promises(self) -> Promises:
        """K gradients, and no exact invariant distribution: nothing corrects the discretisation."""
        return Promises(
            gradients=self.steps, stochastic=self.noise > 0, homogeneous=True, translates=self.clamp is None
        )

    @property
    def noiseless(self) -> "Langevin":
        """Gradient descent with the same steps and bounds."""
        return replace(self, noise=0.0)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step; a chain takes K gradients."""
        for _ in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            x = x - self.drift(gradient)
            if self.noise:
                x.add_(noise_like(x, rng), alpha=self.noise)
            if self.clamp is not None:
                x = x.clamp(*self.clamp)
            yield State(x, {"energy": value, "gradient": gradient})

    def drift(self, gradient: Tensor) -> Tensor:
        """The drift of one step for a gradient `(B, *shape)`: scaled, then bounded per element and per example."""
        drift = self.step_size * gradient
        if self.clip is not None:
            drift = drift.clamp(-self.clip, self.clip)
        if self.clip_norm is not None:
            norm = drift.flatten(1).norm(dim=1)
            drift = drift * per_example(drift, (self.clip_norm / norm).clamp(max=1))
        return drift
