"""Schedules: a factor in [0, 1], or a number of steps, as a function of the index of the update, from 1."""

import math
from collections.abc import Callable
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def linear(iterations: int, start: int) -> Callable[[int], float]:
    """A schedule that is 1 up to update `start` and then falls linearly, to reach 0 after the last update.

    Args:
        iterations: The number of updates of the run.
        start: The last update with factor 1; in a run of no more updates the factor is always 1.
    """
    flat = min(start, iterations)
    return lambda index: min(1.0, (iterations + 1 - index) / (iterations + 1 - flat))


def cosine(iterations: int, start: int) -> Callable[[int], float]:
    """A schedule that is 1 up to update `start` and then falls as half a cosine, to reach 0 after the last update.

    Where `linear` is f, this is `sin²(π f / 2)`: flat at both ends.

    Source: Loshchilov & Hutter, ICLR 2017 (SGDR), equation 5, without restarts.

    Args:
        iterations: The number of updates of the run.
        start: The last update with factor 1; in a run of no more updates the factor is always 1.
    """
    fall = linear(iterations, start)
    return lambda index: math.sin(math.pi / 2 * fall(index)) ** 2


def constant(index: int) -> float:
    """A schedule that is always 1."""
    return 1.0


def growing(first: int, last: int, full_from: int) -> Callable[[int], int]:
    """The number of chain steps by the index of the update: it grows linearly from `first` to `last`.

    Args:
        first: Steps of the chains of the first update.
        last: Steps from update `full_from` on.
        full_from: The first update with `last` steps; for 1 every update has them.
    """

    def steps(index: int) -> int:
        share = (index - 1) / (full_from - 1) if index < full_from else 1.0
        return round(first + (last - first) * share)

    return steps
