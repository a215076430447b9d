"""Chains looked at on the way: at chosen steps, and beyond their K steps."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError
from ebmkit.interfaces import EnergyFn, Sampler, eval_mode


class Point(NamedTuple):
    """Where long chains are after `step` steps: examples `(n, *shape)`, and their energy `(n,)` before that step."""

    step: int
    x: Tensor
    energy: Tensor | None


def states_at(sampler: Sampler, energy: EnergyFn, x: Tensor, rng: Generator, at: Sequence[int]) -> dict[int, Tensor]:
    """Where the chains from `x` `(B, *shape)` are after each of the steps `at`; step 0 is the start.

    Raises:
        UsageError: for a step that the chain does not have.
    """
    kept, step = {0: x} if 0 in at else {}, 0
    with eval_mode(energy):
        for step, state in enumerate(sampler.chain(energy, x, rng), start=1):
            if step in at:
                kept[step] = state.x
    if missing := [wanted for wanted in at if wanted not in kept]:
        raise UsageError(f"the chain has {step} steps and no step {missing[0]}; use steps from 0 to {step}")
    return kept


def repeated_chain(
    sampler: Sampler, energy: EnergyFn, x: Tensor, rng: Generator, times: int, every: int | None
) -> Iterator[Point]:
    """`times` chains, each from where the last one ended: yields the start, then every N-th step, or each chain's end.

    Unlike one chain of `times` times K steps it repeats whatever the sampler does at the beginning of a chain.
    """
    yield Point(0, x, None)
    step = 0
    for _ in range(times):
        value = None
        for state in sampler.chain(energy, x, rng):
            step, x, value = step + 1, state.x, state.info.get("energy")
            if every and step % every == 0:
                yield Point(step, x, value)
        if every is None:
            yield Point(step, x, value)


def joined(points: Sequence[Point]) -> Point:
    """The points of several batches of chains after the same step, as one."""
    known = [point.energy for point in points if point.energy is not None]
    return Point(points[0].step, torch.cat([point.x for point in points]), torch.cat(known) if known else None)
