"""Hamiltonian Monte Carlo whose step size adapts to an acceptance rate."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from ebmkit import EnergyFn, Promises, Sampler, State, check
from ebmkit.samplers import HMC

GAMMA, OFFSET, DECAY = 0.05, 10, 0.75  # gamma, t_0 and kappa of the paper, with its values


@dataclass(kw_only=True)
class AdaptiveHMC(Sampler):
    """Hamiltonian Monte Carlo for exp(-E) with one step size, which a method adapts between chains.

    A step is that of the sampler `hmc` with `L = round(length / ε)` leapfrogs of the step size ε, at least 1 and at
    most `leapfrog`. Unless that is reached, the length of a trajectory is thus the same for all step sizes: on a target
    that is close to N(0, I), as that of a flow in its latent space, trajectories return to where they began after the
    time 2π. The step size is the same for all chains and does not change within a chain, so every step leaves exp(-E)
    invariant. After the chains of an update the method calls `adapt` with their acceptance rate: after the m-th call,
    with the rate α_m, the step size is

        log ε_m = log(10 step_size) - sqrt(m) / γ * 1 / (m + t_0) * sum_{i <= m} (target - α_i)

    and its average, which `frozen` has, `log ε̄_m = m^-κ log ε_m + (1 - m^-κ) log ε̄_{m-1}`. A method that does not call
    `adapt`, as those of ebmkit itself, always has the setting `step_size`.

    Source: Hoffman and Gelman, "The No-U-Turn Sampler" (JMLR 2014), section 3.2, equation 6 and algorithm 5, whose λ is
    `length`. The default values are ours: a quarter of the period of N(0, I), after which a Gaussian is independent of
    its start; and an acceptance rate between the optimal 0.651 of long trajectories in many dimensions (Beskos, Pillai,
    Roberts, Sanz-Serna, Stuart, Bernoulli 2013) and the 0.8 of Stan.

    Args:
        steps: How many times one chain draws momenta: the length K of the chain.
        step_size: Time that one leapfrog advances before any adaptation.
        length: Time that one step advances.
        leapfrog: How many leapfrogs one step takes at most.
        target: The acceptance rate that the step size adapts to.

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 5
    step_size: float = 0.05
    length: float = 1.6
    leapfrog: int = 5
    target: float = 0.7

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("length", self.length, above=0)
        check("leapfrog", self.leapfrog, at_least=1)
        check("target", self.target, above=0, below=1)
        self.count, self.missing = 0, 0.0
        self.log_step = self.log_average = math.log(self.step_size)

    @property
    def implied_temperature(self) -> float:
        """1."""
        return 1.0

    @property
    def promises(self) -> Promises:
        """Every step satisfies detailed balance with exp(-E); n steps take n L + 1 gradients."""
        return self.hmc(self.log_step).promises

    @property
    def frozen(self) -> HMC:
        """The sampler to draw with: its step size is the average, and never changes."""
        return self.hmc(self.log_average)

    def hmc(self, log_step: float) -> HMC:
        """The sampler with this logarithm of the step size."""
        size = math.exp(log_step)
        return HMC(steps=self.steps, step_size=size, leapfrog=min(max(round(self.length / size), 1), self.leapfrog))

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each proposal was accepted or rejected, all with the present step size."""
        return self.hmc(self.log_step).chain(energy, x, rng)

    def adapt(self, accepted: float) -> None:
        """Adapt the step size to the acceptance rate, in [0, 1], of chains with the present one."""
        self.count += 1
        self.missing += self.target - accepted
        goal = math.log(10 * self.step_size)
        self.log_step = goal - math.sqrt(self.count) / (GAMMA * (self.count + OFFSET)) * self.missing
        weight = self.count**-DECAY
        self.log_average = weight * self.log_step + (1 - weight) * self.log_average

    def with_steps(self, steps: int) -> Self:
        """This sampler with chains of `steps` steps, and the same adaptation."""
        other = super().with_steps(steps)
        other.load_state_dict(self.state_dict())
        return other

    def state_dict(self) -> dict[str, Tensor]:
        """The adaptation, in double precision."""
        values = (self.count, self.missing, self.log_step, self.log_average)
        return {"adaptation": torch.tensor(values, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        count, self.missing, self.log_step, self.log_average = state["adaptation"].tolist()
        self.count = int(count)
