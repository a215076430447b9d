"""The Metropolis-adjusted Langevin algorithm, on examples of any shape."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit import EnergyFn, Promises, Sampler, State, check, noise_like, per_example, value_and_grad
from ebmkit_mala.averaging import DualAveraging


@dataclass(frozen=True, kw_only=True)
class Mala(Sampler):
    """Langevin steps for exp(-E / temperature), each accepted or rejected by the Metropolis-Hastings rule.

    One step proposes `x' = x - s dE/dx(x) + sqrt(2 s temperature) N(0, I)` with `s = step_size`, and accepts it with
    probability `min(1, exp(-(E(x') - E(x)) / temperature) q(x | x') / q(x' | x))`, where `q` is the proposal's
    density. A proposal that is not finite (in its examples, its energy or its gradient) is rejected and reported,
    never repaired.

    In the first `warmup` steps each chain adapts its own step size to the acceptance probability `target` by dual
    averaging; the averaged step size is used afterwards. Only the steps after the warmup leave exp(-E / temperature)
    invariant. Step sizes then depend on the start, and derivatives of the chain include that: they may become large.

    A chain of n steps takes `n + 1` gradients: the energy and gradient at the end of a step are reused by the next.

    Source: Roberts and Tweedie, "Exponential convergence of Langevin distributions and their discrete
    approximations" (Bernoulli 1996), section 1.4.2; Hoffman and Gelman (JMLR 2014), section 3.2, for the warmup.

    Args:
        steps: K, the length of one chain, warmup included.
        step_size: Coefficient of the gradient in one step; with a warmup, that of its first step.
        temperature: Temperature T of the target exp(-E/T).
        warmup: Number of steps at the chain's start that adapt its step size; 0 does not adapt it.
        target: Target acceptance probability of the warmup.

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 100
    step_size: float = 0.01
    temperature: float = 1.0
    warmup: int = 0
    target: float = 0.574

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("temperature", self.temperature, above=0)
        check("warmup", self.warmup, at_least=0, at_most=self.steps)
        check("target", self.target, above=0, below=1)

    @property
    def implied_temperature(self) -> float:
        """The setting `temperature`."""
        return self.temperature

    @property
    def promises(self) -> Promises:
        """Without a warmup, steps in detailed balance with exp(-E / temperature)."""
        fixed = self.warmup == 0
        return Promises(
            temperature=self.temperature if fixed else None,
            reversible=fixed,
            gradients=self.steps + 1,
        )

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each proposal was accepted or rejected; `info` also has `step_size` `(B,)`."""
        value, gradient = value_and_grad(energy, x)
        size = torch.full_like(value, self.step_size, dtype=torch.promote_types(value.dtype, torch.float32))
        averaging = DualAveraging(size, self.target)
        for step in range(self.steps):
            noise = noise_like(x, rng)
            end = self.proposal(x, gradient, noise, size)
            value_end, gradient_end = value_and_grad(energy, end)
            finite = value_end.isfinite() & _finite(end) & _finite(gradient_end)
            log_ratio = (value - value_end) / self.temperature + self.correction(gradient, gradient_end, noise, size)
            # A chain that starts at an infinite energy stays there; infinities that cancel to NaN are rejected.
            possible = finite & value.isfinite() & ~log_ratio.isnan()
            log_ratio = torch.where(possible, log_ratio, -math.inf)
            uniform = torch.rand(value.shape, generator=rng, dtype=log_ratio.dtype, device=x.device)
            keep = uniform.log() < log_ratio
            info = {"energy": value, "gradient": gradient, "accepted": keep, "nonfinite": ~finite, "step_size": size}
            x = torch.where(per_example(x, keep), end, x)
            value = torch.where(keep, value_end, value)
            gradient = torch.where(per_example(x, keep), gradient_end, gradient)
            yield State(x, info)
            if step < self.warmup:
                averaging.update(log_ratio.clamp(max=0).exp())
                size = averaging.current if step + 1 < self.warmup else averaging.average

    def proposal(self, x: Tensor, gradient: Tensor, noise: Tensor, size: Tensor) -> Tensor:
        """The proposal of a Langevin step of the sizes `size` `(B,)` from `x` with this noise: `(B, *shape)`."""
        size = per_example(x, size)
        return (x - size * gradient + (2 * size * self.temperature).sqrt() * noise).to(x.dtype)

    def correction(self, gradient: Tensor, gradient_end: Tensor, noise: Tensor, size: Tensor) -> Tensor:
        """Log q(x | x') - log q(x' | x), the proposal's part of the log ratio, `(B,)`, in at least single precision.

        Both densities are normal with the same variance, so it is (|n|² - |n'|²) / 2, where n is the noise that
        leads from x to x', and n' = sqrt(s / (2 temperature)) (dE/dx(x) + dE/dx(x')) - n the one that leads back.
        """
        scale = per_example(noise, (size / (2 * self.temperature)).sqrt())
        back = scale * (gradient + gradient_end) - noise
        noise = noise.to(back.dtype)
        return (noise.square() - back.square()).flatten(1).sum(1) / 2


def _finite(x: Tensor) -> Tensor:
    return x.isfinite().flatten(1).all(1)
