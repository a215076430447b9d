"""The results of a race: its curves and its tables, from what the lanes of contenders have saved."""

from statistics import median
from typing import Any

from quality import LOWER, Curve, Point, quality_table
from tables import Table

Results = dict[str, dict[int, dict[str, Any]]]  # what was measured of each contender, by its title and seed


def curve_of(result: dict[str, Any], measure: str) -> Curve | None:
    """The curve of a measure, whose name begins so; None if no samples could be measured."""
    values = [
        (moment["seconds"], next((row for row in moment["measures"] if row["name"].startswith(measure)), None))
        for moment in result["moments"]
    ]
    first = next((row for _, row in values if row is not None), None)
    if first is None or first["real_against_real"] is None:
        return None
    points = [Point(seconds, None if row is None else row["value"]) for seconds, row in values]
    return Curve([Point(0.0, first["noise_against_real"]), *points], first["real_against_real"])


def curves_of(results: Results, measure: str) -> dict[str, dict[int, Curve]]:
    """The curves of a measure by contender and seed, without those that could not be measured."""
    found = {
        title: {seed: curve for seed, result in seeds.items() if (curve := curve_of(result, measure)) is not None}
        for title, seeds in results.items()
    }
    return {title: seeds for title, seeds in found.items() if seeds}


def tables(results: Results, reference: str) -> list[Table]:
    """What each contender did, and, if the reference took part, how long each takes to its quality."""
    rows = [
        [title, *(str(median(values)) for values in zip(*map(totals, seeds.values()), strict=True)), notes(seeds)]
        for title, seeds in results.items()
    ]
    found = [Table("Contenders", ["contender", "updates", "seconds", "recipe"], rows)]
    for measure in (measure for measure, lower in LOWER.items() if lower):
        by_title = curves_of(results, measure)
        if reference in by_title:
            found.append(quality_table(measure, by_title, reference))
    return found


def totals(result: dict[str, Any]) -> tuple[int, int]:
    """The updates and seconds at the last look."""
    last = result["moments"][-1]
    return last["updates"], round(last["seconds"])


def notes(seeds: dict[int, dict[str, Any]]) -> str:
    """The recipe, and why seeds were stopped."""
    recipe = next(iter(seeds.values()))["recipe"]
    return "; ".join([recipe, *(f"seed {seed}: {one['stopped']}" for seed, one in seeds.items() if one["stopped"])])
