"""Schedules: a factor by the index of the update, counted from 1."""

from collections.abc import Callable
from typing import Literal

Schedule = Literal["constant", "linear"]


def linear(iterations: int, start: int) -> Callable[[int], float]:
    """A schedule: 1 until update `start`, then down a straight line that reaches 0 after the last update.

    Args:
        iterations: Length of the run.
        start: The last update at full height; a run that is not longer stays at 1.
    """
    flat = min(start, iterations)
    return lambda index: min(1.0, (iterations + 1 - index) / (iterations + 1 - flat))


def constant(index: int) -> float:
    """A schedule that stays 1."""
    return 1.0
