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

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, equation 4; the default values are those of its released code. Noise
    that falls along the chain: Song & Ermon, NeurIPS 2019, where it is geometric, and the energy falls with it.

    Args:
        steps: How many steps one chain takes: the paper's K.
        step_size: Coefficient of the gradient in one step.
        noise: Standard deviation of the noise that one step adds; with `noise_end`, that the first step adds.
        noise_end: Standard deviation of the noise that the last step adds: the noise falls linearly along the chain, so
            that no temperature is implied; none keeps it constant, as in the paper.
        clip: Bound on the magnitude of each element of the drift of a step; none leaves it unbounded.
        clip_norm: Bound on the Euclidean norm of the drift of each example in a step; none leaves it unbounded.
        clamp: Range that examples are clamped to after each step; none leaves them unbounded, as in the paper.

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 100
    step_size: float = 1.0
    noise: float = 0.01
    noise_end: float | None = None
    clip: float | None = None
    clip_norm: float | None = None
    clamp: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("noise", self.noise, at_least=0)
        if self.noise_end is not None:
            check("noise_end", self.noise_end, at_least=0, at_most=self.noise)
        if self.clip is not None:
            check("clip", self.clip, above=0)
        if self.clip_norm is not None:
            check("clip_norm", self.clip_norm, above=0)
        if self.clamp is not None:
            check("clamp's upper end", self.clamp[1], above=self.clamp[0])

    @property
    def implied_temperature(self) -> float | None:
        """T of the density exp(-E/T) whose Langevin equation a step discretises: noise² / (2 step_size).

        None if the noise falls along the chain.
        """
        return self.noise**2 / (2 * self.step_size) if self.noise_end is None else None

    @property
    def promises(self) -> Promises:
        """K gradients, and no exact invariant distribution: nothing corrects the discretisation."""
        return Promises(
            gradients=self.steps,
            stochastic=self.noise > 0,
            homogeneous=self.noise_end is None,
            translates=self.clamp is None,
        )

    @property
    def noiseless(self) -> "Langevin":
        """Gradient descent with the same steps and bounds."""
        return replace(self, noise=0.0, noise_end=None)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step; a chain takes K gradients."""
        for step in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            x = x - self.drift(gradient)
            if noise := self.noise_of(step):
                x.add_(noise_like(x, rng), alpha=noise)
            if self.clamp is not None:
                x = x.clamp(*self.clamp)
            yield State(x, {"energy": value, "gradient": gradient})

    def noise_of(self, step: int) -> float:
        """Standard deviation of the noise of a step, counted from 0; a single step has `noise`."""
        if self.noise_end is None:
            return self.noise
        share = step / max(1, self.steps - 1)
        return (1 - share) * self.noise + share * self.noise_end

    def drift(self, gradient: Tensor) -> Tensor:
        """The drift of one step for a gradient `(B, *shape)`: scaled, then bounded per element and per example."""
        drift = self.step_size * gradient
        if self.clip is not None:
            drift = drift.clamp(-self.clip, self.clip)
        if self.clip_norm is not None:
            norm = drift.flatten(1).norm(dim=1)
            drift = drift * per_example(drift, (self.clip_norm / norm).clamp(max=1))
        return drift
