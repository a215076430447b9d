"""When contenders are looked at in a race, and when they reach a quality: values only, no training."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

from tables import Table

# The measures of the race by the start of their names, and whether lower is better.
LOWER = {
    "Fréchet distance": True,
    "Kernel distance": True,
    "Energy distance": True,
    "Precision": False,
    "Recall": False,
}


class Point(NamedTuple):
    """A value after some seconds of training; it is None where samples could not be measured."""

    seconds: float
    value: float | None


class Curve(NamedTuple):
    """One measure of one contender with one seed.

    Attributes:
        points: The values of its samples, in the order of their seconds; the first is that of its starts, at 0 seconds.
        real: The value for real examples in place of samples.
    """

    points: Sequence[Point]
    real: float

    @property
    def last(self) -> float:
        """The last value that could be measured; NaN if there is none."""
        return next((value for _, value in reversed(self.points) if value is not None), math.nan)


def moments(seconds: float, count: int) -> list[float]:
    """`count` moments up to `seconds`, each √2 times the one before: early quality needs a finer scale than late."""
    return [seconds * 2 ** ((index - count + 1) / 2) for index in range(count)]


def slices(looks: Sequence[float], longest: float) -> list[float]:
    """Ends of the slices of training in which contenders take turns: none is longer, and every look is an end."""
    ends, before = [], 0.0
    for look in looks:
        pieces = math.ceil((look - before) / longest)
        ends += [before + (look - before) * piece / pieces for piece in range(1, pieces)] + [look]
        before = look
    return ends


def seconds_to(target: float, points: Sequence[Point]) -> float | None:
    """The seconds after which straight lines through the points first are at `target` or below; None if never."""
    before: Point | None = None
    for point in points:
        if point.value is None:
            before = None
        elif not point.value <= target:
            before = point
        elif before is None or before.value is None:
            return point.seconds
        else:
            share = (before.value - target) / (before.value - point.value)
            return before.seconds + share * (point.seconds - before.seconds)
    return None


def quality_table(measure: str, curves: Mapping[str, Mapping[int, Curve]], reference: str) -> Table:
    """Seconds to the value of a distance that the reference has at its end, by the same seed, and their ratios.

    Args:
        measure: The name of the distance.
        curves: For each contender, its curve for each seed.
        reference: The contender whose last value is the target; it must have every seed that others have.
    """
    targets = {seed: curve.last for seed, curve in curves[reference].items()}
    own = {seed: seconds_to(targets[seed], curve.points) for seed, curve in curves[reference].items()}
    rows = []
    for name, seeds in curves.items():
        found = {seed: seconds_to(targets[seed], curve.points) for seed, curve in seeds.items() if seed in targets}
        reached = {seed: seconds for seed, seconds in found.items() if seconds is not None}
        ratios = [own[seed] / seconds for seed, seconds in reached.items() if seconds and own[seed] is not None]
        starts = [curve.points[0].value for curve in seeds.values()]
        rows.append(
            [
                name,
                spread([value for value in starts if value is not None]),
                spread([curve.last for curve in seeds.values()]),
                _reached(list(reached.values()), len(found)),
                spread(ratios, suffix=" times") if ratios else "-",
            ]
        )
    every = [curve for seeds in curves.values() for curve in seeds.values()]
    note = f"Real against real: {fmean(curve.real for curve in every):.4g}. Medians over seeds, with the range."
    title = f"{measure}: seconds to {spread(list(targets.values()))}, the last value of the {reference}"
    return Table(title, ["contender", "starts", "at the end", "seconds", "as fast"], rows, [note])


def spread(values: Sequence[float], suffix: str = "") -> str:
    """The median of values, and in brackets their range if there are several; values that are not finite stay so."""
    if not values:
        return "-"
    middle = f"{median(values):.3g}{suffix}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g} to {max(values):.3g})"


def _reached(seconds: Sequence[float], seeds: int) -> str:
    if not seconds:
        return "not reached"
    text = "0: its starts" if max(seconds) == 0 else spread(seconds)
    return text if len(seconds) == seeds else f"{text}, in {len(seconds)} of {seeds} seeds"
