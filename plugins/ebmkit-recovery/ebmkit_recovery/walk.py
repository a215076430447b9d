"""The walk down the noise levels, from N(0, I) to examples, as the chain of a model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Self

import torch
from torch import Generator, Tensor

from ebmkit import EnergyFn, Promises, Sampler, ShortRun, State, UsageError, check
from ebmkit_recovery.energy import LevelEnergies
from ebmkit_recovery.levels import Levels


@dataclass(frozen=True, kw_only=True)
class Walk(Sampler):
    """T chains of K steps, one after the other: that of level t starts from where the one above ended, and undoes it.

    A state is the estimate `y / scale[t]` of x_t, so that the last is the sample. There is no walk without noise: a
    chain that only descends ends at a mode of its level, and the levels below begin far from what they were trained on.

    Source: Gao et al., ICLR 2021, algorithm 2.

    Args:
        sampler: Makes the chain of each level.
        levels: The noise levels.
        last: How many chains follow each other at the lowest level.
    """

    sampler: Sampler
    levels: Levels
    last: int = 1

    @property
    def chains(self) -> int:
        """How many chains there are."""
        return self.levels.count - 1 + self.last

    @property
    def steps(self) -> int | None:  # type: ignore[override]
        """The steps of all chains together; None if the sampler has no such setting."""
        return None if self.sampler.steps is None else self.chains * self.sampler.steps

    @property
    def promises(self) -> Promises:
        """The gradients of all chains, and that the walk draws if its sampler does."""
        each = self.sampler.promises
        gradients = None if each.gradients is None else self.chains * each.gradients
        return Promises(gradients=gradients, stochastic=each.stochastic)

    def with_steps(self, steps: int) -> Self:
        """The walk with `steps` steps in all, the same number at each level.

        Raises:
            UsageError: unless they can be divided among the levels.
        """
        each, rest = divmod(steps, self.chains)
        if rest:
            near = " or ".join(str(n * self.chains) for n in (each, each + 1) if n)
            raise UsageError(f"steps must be a multiple of the {self.chains} levels, not {steps}: write {near}")
        return replace(self, sampler=self.sampler.with_steps(each))

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step; `energy` has the conditional energies of the levels.

        The energies and gradients of a state are those of its level, in the units of its chain.
        """
        if not isinstance(energy, LevelEnergies):
            raise TypeError(f"a walk needs LevelEnergies, not {type(energy).__name__}")
        with energy.conditionals(x) as given:
            for level in reversed(range(self.levels.count)):
                length, scale = self.levels.length[level], self.levels.scale[level]
                conditional = given(x, torch.full((len(x),), level, device=x.device))
                v = x / length
                for _ in range(self.last if level == 0 else 1):
                    for state in self.sampler.chain(conditional, v, rng):
                        v = state.x
                        x = v * (length / scale)
                        yield State(x, state.info)


@dataclass(frozen=True)
class WalkRun(ShortRun):
    """The walk down the noise levels as a model; its energy of examples is that of the lowest level."""

    energy: LevelEnergies
    sampler: Walk

    def counted(self, on_pass: Callable[[], None]) -> Self:
        """This model with a function that is called at every pass."""
        return replace(self, energy=self.energy.counted(on_pass))

    def reconstruct(self, *given: Any, **settings: Any) -> NoReturn:
        """Refuse: the start of a walk is not a latent variable, since chains of the higher levels forget it.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "a walk down noise levels forgets its start, so that no start gives an example back: models of "
            "recovery-likelihood do not reconstruct"
        )

    def long_run(
        self, n: int, rng: Generator, *, times: int = 10, every: int | None = None, batch: int | None = None
    ) -> Iterator:
        """As in `ShortRun`: after the walk, its last chain goes on at the lowest level.

        A walk cannot be repeated from where it ended, since it begins with noise.
        """
        check("times", times, at_least=1)
        longer = replace(self.sampler, last=1 + (times - 1) * self.sampler.levels.count)
        each = self.sampler.steps if every is None else every
        return ShortRun.long_run(replace(self, sampler=longer), n, rng, times=1, every=each, batch=batch)
