"""Schedules: a factor in [0, 1] as a function of the index of the update, which counts from 1."""

from collections.abc import Callable
from typing import Literal

Schedule = Literal["constant", "linear"]


def linear(iterations: int, start: int) -> Callable[[int], float]:
    """A schedule that is 1 up to update `start` and then falls linearly, to reach 0 after the last update.

    Args:
        iterations: The number of updates of the run.
        start: The last update with factor 1; in a run of no more updates the factor is always 1.
    """
    flat = min(start, iterations)
    return lambda index: min(1.0, (iterations + 1 - index) / (iterations + 1 - flat))


def constant(index: int) -> float:
    """A schedule that is always 1."""
    return 1.0
