"""The rows of a study's table: what the cells of each point of the grid found, over its seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, NamedTuple

from ebmkit.study.measures import KINDS, kind_of
from ebmkit.study.plan import Cell, Plan
from ebmkit.study.results import Result


class Spread(NamedTuple):
    """Values over seeds.

    Attributes:
        mean: Their mean.
        deviation: Their sample standard deviation, with n - 1 in the denominator; None for one value.
    """

    mean: float
    deviation: float | None


class Score(NamedTuple):
    """A measure of the models of a row.

    Attributes:
        model: The value for samples.
        noise: The mean value for noise, like the starts of new chains, in place of samples.
        real: The mean value for other real examples in place of samples.
    """

    model: Spread
    noise: float | None
    real: float | None


@dataclass(frozen=True)
class Row:
    """One point of the grid.

    Attributes:
        settings: The values of what varies, by `section.key`.
        seeds: How many cells it has.
        done: How many are trained and evaluated.
        diverged: The update at which each of the others diverged.
        failed: How many ended with an error.
        updates: How many updates each cell made that is done or diverged.
        passes: Passes of the network of one run, the mean over those that are done; None if there is none.
        scores: The measures by short name, over the cells that are done.
        seconds: What the training of one run took, over those that are done.
        evaluation_seconds: What an evaluation took, the mean.
        remarks: Why a measure has no value, as the evaluations say it.
    """

    settings: Mapping[str, Any]
    seeds: int
    done: int
    diverged: tuple[int, ...]
    failed: int
    updates: tuple[int, ...]
    passes: float | None
    scores: Mapping[str, Score]
    seconds: Spread | None
    evaluation_seconds: float | None
    remarks: tuple[str, ...]


def rows_of(plan: Plan, results: Sequence[tuple[Cell, Result | None]]) -> list[Row]:
    """A row for each point of the grid, in order.

    Args:
        plan: The plan of the study.
        results: Every cell with its result, None if it has none.
    """
    return [
        row_of(point, [result for cell, result in results if cell.varied == point], plan.seeds) for point in plan.grid
    ]


def row_of(point: Mapping[str, Any], results: Sequence[Result | None], seeds: int) -> Row:
    """The row of one point of the grid."""
    ended = [result for result in results if result is not None]
    done = [result for result in ended if result.status == "done"]
    found = {short: score_of(short, done) for short in KINDS}
    return Row(
        settings=point,
        seeds=seeds,
        done=len(done),
        diverged=tuple(result.updates for result in ended if result.status == "diverged"),
        failed=sum(result.status == "failed" for result in ended),
        updates=tuple(result.updates for result in ended if result.status != "failed"),
        passes=mean([result.passes for result in done]),
        scores={short: score for short, score in found.items() if score is not None},
        seconds=spread([result.seconds for result in done]),
        evaluation_seconds=mean([result.evaluation_seconds for result in done]),
        remarks=tuple(
            dict.fromkeys(
                f"{one['name']}: {one['note']}" for result in done for one in result.measures if one["value"] is None
            )
        ),
    )


def score_of(short: str, results: Sequence[Result]) -> Score | None:
    """A measure over results; None if no evaluation has a value of it."""
    found = [one for result in results for one in result.measures if kind_of(one["name"]) == short]
    model = spread(values_in(found, "value"))
    if model is None:
        return None
    return Score(model, mean(values_in(found, "noise_against_real")), mean(values_in(found, "real_against_real")))


def values_in(measures: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """The values that are there: a measure has none where n is too small."""
    return [one[key] for one in measures if one[key] is not None]


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return fmean(values) if values else None


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation; None of nothing."""
    if not values:
        return None
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)
