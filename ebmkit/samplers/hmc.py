"""Hamiltonian Monte Carlo, with or without the Metropolis test, on examples of any shape."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ebmkit.errors import Notice, UsageError, check
from ebmkit.interfaces import EnergyFn, Promises, Sampler, State, noise_like, per_example, value_and_grad

PATIENCE = 500  # proposals in succession that may all be rejected before a warning


@dataclass
class Rejections:
    """How many proposals were rejected in succession, over all chains of a sampler; it warns once.

    Attributes:
        count: Proposals since the last chain in which one was accepted.
        warned: Whether a warning was given.
    """

    count: int = 0
    warned: bool = False

    def add(self, proposals: int, moved: bool, movable: Tensor, step_size: float) -> None:
        """Count the proposals of a batch of chains.

        Args:
            proposals: How many there were.
            moved: Whether any chain moved: one of them was accepted.
            movable: Whether a chain started where the energy is finite, `(B,)`.
            step_size: That of the sampler, for the warning.
        """
        self.count = 0 if moved else self.count + proposals
        if self.count < PATIENCE or self.warned:
            return
        self.warned = True
        advice = f"write a smaller step, like -s sampler.step_size={step_size / 10:g}"
        if not movable.any():
            advice = "the energy is not finite where chains start: choose another init"
        warnings.warn(f"hmc rejected its last {self.count} proposals, so chains do not move: {advice}", Notice, 2)


@dataclass(frozen=True, kw_only=True)
class HMC(Sampler):
    """Hamiltonian Monte Carlo for exp(-E / temperature), with the leapfrog integrator.

    One step draws momenta `p ~ N(0, mass * temperature)`, integrates the dynamics of `H(x, p) = E(x) + |p|² / (2 mass)`
    with `leapfrog` leapfrogs of `step_size`, and accepts the end with probability `min(1, exp(-ΔH / temperature))`.
    Without `adjust` every finite end is accepted. An end that is not finite (in its examples, its energy or its
    gradient) is rejected and reported. A warning says once if 500 proposals in succession were all rejected.

    A chain of n steps takes `n * leapfrog + 1` gradients: the last gradient of a leapfrog is the first of the next.

    Source: Neal, "MCMC using Hamiltonian dynamics" (2011), sections 2 and 3. The temperature is ours: at 1 the
    target is exp(-E); a low one gives the regime of the paper, where the drift outweighs the noise.

    Args:
        steps: How many times one chain draws momenta: the length K of the chain.
        step_size: Time that one leapfrog advances.
        leapfrog: How many leapfrogs one step takes.
        adjust: Whether ends are accepted or rejected by the Metropolis test.
        mass: Mass of each coordinate; in Python also a tensor that broadcasts against `(B, *shape)`.
        temperature: Temperature T of the target exp(-E/T).

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 20
    step_size: float = 0.1
    leapfrog: int = 5
    adjust: bool = True
    mass: float | Tensor = 1.0
    temperature: float = 1.0
    _rejections: Rejections = field(init=False, default_factory=Rejections, repr=False, compare=False)

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("leapfrog", self.leapfrog, at_least=1)
        check("temperature", self.temperature, above=0)
        if not isinstance(self.mass, Tensor):
            check("mass", self.mass, above=0)
        elif not bool(((self.mass > 0) & self.mass.isfinite()).all()):
            raise UsageError("mass must be above 0 and finite everywhere")

    @property
    def implied_temperature(self) -> float:
        """The setting `temperature`."""
        return self.temperature

    @property
    def promises(self) -> Promises:
        """With `adjust`, every step satisfies detailed balance with exp(-E / temperature)."""
        return Promises(
            temperature=self.temperature if self.adjust else None,
            reversible=self.adjust,
            gradients=self.steps * self.leapfrog + 1,
            homogeneous=True,
            translates=True,
        )

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each proposal was accepted or rejected."""
        scale = (self.mass * self.temperature) ** 0.5
        value, gradient = value_and_grad(energy, x)
        movable = value.isfinite()
        start = x
        for _ in range(self.steps):
            momentum = noise_like(x, rng).mul_(scale)
            end, momentum_end, value_end, gradient_end = self.leapfrogs(energy, x, momentum, gradient)
            finite = (value_end - value_end) + _zeros(end) + _zeros(gradient_end) == 0
            keep = finite
            if self.adjust:
                change = value_end + self.kinetic(momentum_end) - value - self.kinetic(momentum)
                uniform = torch.rand(value.shape, generator=rng, dtype=change.dtype, device=x.device)
                # A comparison with NaN is false; a chain that starts at an infinite energy stays there.
                keep = finite & (change < -self.temperature * uniform.log()) & movable
            info = {"energy": value, "gradient": gradient, "accepted": keep, "nonfinite": ~finite}
            kept = per_example(x, keep)
            x, value = torch.where(kept, end, x), torch.where(keep, value_end, value)
            gradient = torch.where(kept, gradient_end, gradient)
            yield State(x, info)
        if len(x):
            self._rejections.add(self.steps * len(x), not torch.equal(x, start), movable, self.step_size)

    def leapfrogs(
        self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The end of the trajectory from `x`, whose gradient is known: x, momentum, energy and gradient."""
        momentum = torch.sub(momentum, gradient, alpha=self.step_size / 2)
        for left in reversed(range(self.leapfrog)):
            if isinstance(self.mass, Tensor):
                x = x + self.step_size * (momentum / self.mass).to(x.dtype)
            else:
                x = torch.add(x, momentum, alpha=self.step_size / self.mass)
            value, gradient = value_and_grad(energy, x)
            # Between two leapfrogs, the last half kick of one and the first of the next are one kick.
            momentum = torch.sub(momentum, gradient, alpha=self.step_size if left else self.step_size / 2)
        return x, momentum, value, gradient

    def kinetic(self, momentum: Tensor) -> Tensor:
        """|p|² / (2 mass) of each example, `(B,)`, summed in at least single precision."""
        dtype = torch.promote_types(momentum.dtype, torch.float32)
        return (momentum.to(dtype).square() / (2 * self.mass)).flatten(1).sum(1)


def _zeros(x: Tensor) -> Tensor:
    """0 for each example whose values are all finite, and NaN for the others, `(B,)`."""
    return (x - x).flatten(1).sum(1)
