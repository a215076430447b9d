"""The Metropolis random walk: a sampler that needs only values of the energy."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit import (
    EnergyFn,
    Promises,
    Sampler,
    State,
    check,
    energy_values,
    eval_mode,
    noise_like,
    per_example,
)


@dataclass(frozen=True, kw_only=True)
class Metropolis(Sampler):
    """The Metropolis random walk for exp(-E / temperature), which needs no gradients.

    One step proposes `x' = x + scale * N(0, I)` and accepts it with probability `min(1, exp(-(E(x') - E(x)) / T))`. A
    proposal that is not finite, in its examples or its energy, is rejected and reported, never repaired.

    A chain of n steps takes n + 1 values of the energy and no gradient. It suits the plane; in high dimensions hardly
    any proposal is accepted.

    Source: Metropolis, Rosenbluth, Rosenbluth, Teller, Teller, Journal of Chemical Physics 21 (1953).

    Args:
        steps: K, the length of one chain: the number of proposals.
        scale: Standard deviation of each element of a proposal around x.
        temperature: Temperature T of the target exp(-E/T).

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 100
    scale: float = 0.2
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("scale", self.scale, above=0)
        check("temperature", self.temperature, above=0)

    @property
    def implied_temperature(self) -> float:
        """The setting `temperature`."""
        return self.temperature

    @property
    def promises(self) -> Promises:
        """Steps in detailed balance with exp(-E / temperature), without gradients."""
        return Promises(temperature=self.temperature, reversible=True, gradients=0)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each proposal was accepted or rejected."""
        value = energies(energy, x)
        for _ in range(self.steps):
            end = x + self.scale * noise_like(x, rng)
            value_end = energies(energy, end)
            finite = value_end.isfinite() & end.isfinite().flatten(1).all(1)
            uniform = torch.rand(value.shape, generator=rng, dtype=value.dtype, device=x.device)
            # A comparison with NaN is false, and a chain that starts at an infinite energy stays there.
            keep = finite & (uniform.log() < (value - value_end) / self.temperature) & value.isfinite()
            info = {"energy": value, "accepted": keep, "nonfinite": ~finite}
            x = torch.where(per_example(x, keep), end, x)
            value = torch.where(keep, value_end, value)
            yield State(x, info)


def energies(energy: EnergyFn, x: Tensor) -> Tensor:
    """E(x) `(B,)` in evaluation mode, in at least single precision; free of graphs unless `x` requires a gradient."""
    with torch.set_grad_enabled(x.requires_grad and torch.is_grad_enabled()), eval_mode(energy):
        value = energy_values(energy, x)
    return value.to(torch.promote_types(value.dtype, torch.float32))
