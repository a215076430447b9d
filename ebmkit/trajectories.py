"""Chains looked at on the way: at chosen steps, and beyond their K steps."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError
from ebmkit.interfaces import EnergyFn, Sampler, eval_mode


class Point(NamedTuple):
    """Where long chains are after `step` steps.

    Attributes:
        step: How many steps they have made.
        x: The examples there, `(n, *shape)`.
        energy: Their energy `(n,)` before that step; None at the start.
        z: The states of the chains, whose energy it is; the examples themselves unless the model decodes states.
    """

    step: int
    x: Tensor
    energy: Tensor | None
    z: Tensor


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
    yield Point(0, x, None, x)
    step = 0
    for _ in range(times):
        value = None
        for state in sampler.chain(energy, x, rng):
            step, x, value = step + 1, state.x, state.info.get("energy")
            if every and step % every == 0:
                yield Point(step, x, value, x)
        if every is None:
            yield Point(step, x, value, x)


class EvenPoints:
    """Evenly spaced points of long chains: only those that may be wanted are kept, however many there are.

    Args:
        columns: How many points are wanted, both ends included; at least 2.
        total: How many points there will be, start included; None if unknown, and then up to 16 times `columns` are
            kept, and those nearest to even spacing are given.
    """

    def __init__(self, columns: int, total: int | None = None) -> None:
        self.columns, self.most = columns, 16 * columns
        self.count, self.every = 0, 1
        self.wanted = None if total is None else set(self._even(total))
        self.kept: dict[int, Point] = {}
        self.last: Point | None = None

    def add(self, point: Point) -> None:
        """Take the next point."""
        if self.count % self.every == 0 if self.wanted is None else self.count in self.wanted:
            self.kept[self.count] = point
        self.last, self.count = point, self.count + 1
        if self.wanted is None and len(self.kept) > self.most:
            self.every *= 2
            self.kept = {index: kept for index, kept in self.kept.items() if index % self.every == 0}

    def points(self) -> list[Point]:
        """The points, in the order of their steps; fewer than `columns` if there were fewer."""
        kept = dict(self.kept)
        if self.last is not None:
            kept[self.count - 1] = self.last
        near = {min(kept, key=lambda index: abs(index - even)) for even in self._even(self.count)} if kept else set()
        return [kept[index] for index in sorted(near)]

    def _even(self, total: int) -> list[int]:
        """The indices of evenly spaced points out of `total`."""
        return [round((total - 1) * part / (self.columns - 1)) for part in range(self.columns)]


def joined(points: Sequence[Point]) -> Point:
    """The points of several batches of chains after the same step, as one."""
    x = torch.cat([point.x for point in points])
    z = x if points[0].z is points[0].x else torch.cat([point.z for point in points])
    known = [point.energy for point in points if point.energy is not None]
    return Point(points[0].step, x, torch.cat(known) if known else None, z)
