"""Replica exchange: hot copies of a chain find other modes, and pass them on to the cold one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit import EnergyFn, Promises, Sampler, State, check, noise_like, value_and_grad


class Replicas(NamedTuple):
    """R copies of each of B chains, the coldest first.

    Attributes:
        x: The copies, `(R, B, *shape)`.
        energy: E of each, `(R, B)`.
        gradient: dE/dx of each, `(R, B, *shape)`.
    """

    x: Tensor
    energy: Tensor
    gradient: Tensor


@dataclass(frozen=True, kw_only=True)
class Tempering(Sampler):
    """Replica exchange, or parallel tempering, with adjusted Hamiltonian moves; the chain is its coldest replica.

    Every example has R replicas. The target of the i-th is `exp(-E / T_i)`; the ladder is geometric,
    `T_i = temperature * hottest^((i - 1) / (R - 1))`. One step moves all of them, then exchanges neighbours:

    1. Each draws momenta `p ~ N(0, T_i)`, follows `H(x, p) = E(x) + |p|² / 2` for `leapfrog` leapfrogs of `step_size`,
       and keeps the end with probability `min(1, exp(-ΔH / T_i))`. So one leapfrog moves x by about
       `step_size * sqrt(T_i)`: hot replicas move further.
    2. Replicas i and i + 1 exchange their places with probability
       `min(1, exp((1/T_i - 1/T_{i+1}) (E_i - E_{i+1})))`: the pairs (1, 2), (3, 4), ... at the first step,
       (2, 3), (4, 5), ... at the second, and so in turn.

    An end that is not finite (in its examples, its energy or its gradient) is rejected and reported, and a replica
    whose energy is not finite takes part in no exchange.

    A step leaves the joint distribution of the replicas, `Π exp(-E(x_i) / T_i)`, invariant, but not the marginal of the
    cold replica. A chain begins with R copies of one x, which is not a draw from the joint distribution: the hot
    replicas are too cold at first. So even a start from exp(-E / temperature) departs from it, and returns to it as the
    chain gets longer. Therefore no `temperature` is promised.

    A chain of n steps takes `R * (n * leapfrog + 1)` gradients; replicas and examples go through the energy as one
    batch of R * B.

    Source: Swendsen, Wang, Physical Review Letters 57 (1986); Geyer, "Markov chain Monte Carlo maximum likelihood"
    (1991). The moves are those of Neal, "MCMC using Hamiltonian dynamics" (2011).

    Args:
        steps: K, the length of one chain: the number of moves, each followed by an exchange.
        step_size: Time of one leapfrog, for every replica.
        leapfrog: Number of leapfrogs in one move.
        replicas: R, the number of replicas of each example.
        hottest: Temperature of the hottest replica, in units of `temperature`.
        temperature: Temperature T of the coldest replica, whose target is exp(-E/T).

    Raises:
        UsageError: if a setting is outside its range.
    """

    steps: int = 20
    step_size: float = 0.1
    leapfrog: int = 5
    replicas: int = 4
    hottest: float = 10.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("leapfrog", self.leapfrog, at_least=1)
        check("replicas", self.replicas, at_least=2)
        check("hottest", self.hottest, above=1)
        check("temperature", self.temperature, above=0)

    @property
    def implied_temperature(self) -> float:
        """The setting `temperature`, that of the coldest replica."""
        return self.temperature

    @property
    def promises(self) -> Promises:
        """R gradients where one chain takes one. The cold replica by itself has no exact invariant distribution."""
        return Promises(gradients=self.replicas * (self.steps * self.leapfrog + 1))

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the coldest replica after each step; `swapped` `(B,)` says whether it came from the second coldest."""
        replicas = seen(energy, x.expand(self.replicas, *x.shape))
        for step in range(self.steps):
            info = {"energy": replicas.energy[0], "gradient": replicas.gradient[0]}
            replicas, accepted, nonfinite = self.move(energy, replicas, rng)
            replicas, swapped = self.exchange(replicas, step % 2, rng)
            info |= {"accepted": accepted[0], "nonfinite": nonfinite[0], "swapped": swapped[0]}
            yield State(replicas.x[0], info)

    def move(self, energy: EnergyFn, replicas: Replicas, rng: Generator) -> tuple[Replicas, Tensor, Tensor]:
        """Move each replica at its own temperature; leaves each `exp(-E / T_i)` invariant.

        Returns:
            The replicas, which of them accepted their proposals, and whose proposals were not finite, `(R, B)` each.
        """
        x, value, gradient = replicas
        temperature = self.temperatures(value)
        scale = temperature.sqrt().view(-1, *[1] * (x.ndim - 1))
        momentum = start = (scale * noise_like(x, rng)).to(x.dtype)
        end = replicas
        for _ in range(self.leapfrog):
            momentum = momentum - self.step_size / 2 * end.gradient
            end = seen(energy, end.x + self.step_size * momentum)
            momentum = momentum - self.step_size / 2 * end.gradient
        finite = end.energy.isfinite() & _finite(end.x) & _finite(end.gradient)
        change = end.energy + kinetic(momentum) - value - kinetic(start)
        uniform = torch.rand(value.shape, generator=rng, dtype=change.dtype, device=x.device)
        # A comparison with NaN is false, and a replica that starts at an infinite energy stays there.
        keep = finite & (uniform.log() < -change / temperature) & value.isfinite()
        wide = keep.view(*keep.shape, *[1] * (x.ndim - 2))
        moved = Replicas(
            torch.where(wide, end.x, x), torch.where(keep, end.energy, value), torch.where(wide, end.gradient, gradient)
        )
        return moved, keep, ~finite

    def exchange(self, replicas: Replicas, first: int, rng: Generator) -> tuple[Replicas, Tensor]:
        """Exchange neighbours by the Metropolis rule; leaves the joint distribution of the replicas invariant.

        Args:
            replicas: The replicas.
            first: Index from 0 of the colder member of the first pair; each next pair begins two replicas later.
            rng: The only source of randomness.

        Returns:
            The replicas, and which of them came from a neighbour, `(R, B)`.
        """
        count, batch = replicas.energy.shape
        value = replicas.energy.to(_single(replicas.energy))
        inverse = 1 / self.temperatures(value)
        cold, hot = slice(first, count - 1, 2), slice(first + 1, count, 2)
        ratio = (inverse[cold] - inverse[hot]) * (value[cold] - value[hot])
        uniform = torch.rand(ratio.shape, generator=rng, dtype=ratio.dtype, device=ratio.device)
        swap = (uniform.log() < ratio) & value[cold].isfinite() & value[hot].isfinite()
        stay = torch.arange(count, device=value.device).unsqueeze(1).expand(count, batch)
        source = stay.clone()
        source[cold] += swap.long()
        source[hot] -= swap.long()
        chosen = source, torch.arange(batch, device=value.device)
        x, energy, gradient = replicas
        return Replicas(x[chosen], energy[chosen], gradient[chosen]), source != stay

    def temperatures(self, energy: Tensor) -> Tensor:
        """The ladder `(R, 1)`, the coldest first, on the device of `energy` and in at least single precision."""
        # Created on the device: copying a list of numbers there would make the chain wait.
        rung = torch.arange(self.replicas, dtype=_single(energy), device=energy.device).unsqueeze(1)
        return self.temperature * self.hottest ** (rung / (self.replicas - 1))


def seen(energy: EnergyFn, x: Tensor) -> Replicas:
    """Replicas `(R, B, *shape)` with their energies and gradients, from one evaluation of all of them."""
    value, gradient = value_and_grad(energy, x.flatten(0, 1))
    return Replicas(x, value.view(x.shape[:2]), gradient.view(x.shape))


def kinetic(momentum: Tensor) -> Tensor:
    """|p|² / 2 of each replica, `(R, B)`, summed in at least single precision."""
    return momentum.to(_single(momentum)).square().flatten(2).sum(2) / 2


def _single(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _finite(x: Tensor) -> Tensor:
    return x.isfinite().flatten(2).all(2)
