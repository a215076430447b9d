"""The figure of a study: measures over what varies, with error bars; matplotlib is imported only here."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebmkit.files import replacing, writing
from ebmkit.report.figures import styled
from ebmkit.study.measures import KINDS
from ebmkit.study.plan import Axis, Plan, labels_of, written
from ebmkit.study.rows import Row, Score

# Okabe and Ito (2008): distinct in every kind of colour vision; each also has a marker of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REAL, NOISE = "#555555", "#999999"
PANEL = (4.0, 3.2)  # inches
WIDEST = 2  # panels side by side
FAR = 8  # times the span of the models: a reference beyond it would make them one line
ROOM = 0.12  # of the height of the axes
ERRORS = "mean, and standard deviation over seeds"
CROWDED = 10  # ratio of the largest to the least value from which the axis is logarithmic
STYLE: Any = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}


def write_figure(plan: Plan, rows: Sequence[Row], path: Path) -> None:
    """Draw the measures of a study, a panel for each, over the axis with the most values; other axes are curves."""
    with styled(STYLE):
        # A measure without values, for which n is too small, gets no panel.
        shown = [short for short in plan.measures if any(short in row.scores for row in rows)] or plan.measures[:1]
        columns = min(WIDEST, len(shown))
        lines = math.ceil(len(shown) / columns)
        sheet = Figure(figsize=(PANEL[0] * columns, PANEL[1] * lines + 0.5), layout="constrained")
        for i, short in enumerate(shown):
            draw_panel(sheet.add_subplot(lines, columns, i + 1), plan, rows, short)
        found = [panel.get_legend_handles_labels() for panel in sheet.axes]
        named = {name: handle for one in found for handle, name in zip(*one, strict=True)}
        across = min(len(named), 2 * columns)
        sheet.legend(named.values(), named.keys(), title=ERRORS, loc="outside upper center", ncols=across)
        with replacing(path) as new, writing(path):
            sheet.savefig(new, dpi=150, metadata={"Software": None})


def draw_panel(axes: Axes, plan: Plan, rows: Sequence[Row], short: str) -> None:
    """Draw one measure."""
    along = x_axis(plan.axes)
    paths = list(along)
    names = labels_of([path for axis in plan.axes for path in axis])
    places = positions(along)
    for i, (name, series) in enumerate(curves(rows, paths, names).items()):
        found = [(places[key(row, paths)], row.scores[short]) for row in series if short in row.scores]
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]
        draw_curve(axes, found, name or "model", colour, marker)
    scores = [row.scores[short] for row in rows if short in row.scores]
    for name, colour, line, values in (
        ("real examples", REAL, "--", [score.real for score in scores if score.real is not None]),
        ("noise", NOISE, ":", [score.noise for score in scores if score.noise is not None]),
    ):
        draw_reference(axes, name, colour, line, values)
    axes.set(title=KINDS[short].title, xlabel=" with ".join(names[path] for path in paths))
    ticks = [", ".join(one) for one in places]
    if logarithmic(along):
        axes.set_xscale("log")
    axes.set_xticks(list(places.values()), ticks, rotation=0 if max(map(len, ticks), default=0) < 8 else 30)
    axes.minorticks_off()


def draw_curve(axes: Axes, found: list[tuple[float, Score]], name: str, colour: str, marker: str) -> None:
    """Draw a measure of the models over one axis."""
    x = [place for place, _ in found]
    y = [score.model.mean for _, score in found]
    error = [score.model.deviation or 0.0 for _, score in found]
    axes.errorbar(x, y, error, label=name, color=colour, marker=marker, markersize=5, capsize=3, linewidth=1.4)


def draw_reference(axes: Axes, name: str, colour: str, line: str, values: Sequence[float]) -> None:
    """Draw the mean of values that are no model's, and their span; far from the models, only write the mean."""
    if not values:
        return
    low, high = axes.get_ylim()
    mean = sum(values) / len(values)
    if max(high, mean) - min(low, mean) > FAR * (high - low):
        above = mean > high
        room = ROOM * (high - low)  # for the words, which else would be on top of an error bar
        axes.set_ylim(low - room * (not above), high + room * above)
        axes.annotate(
            f"{name}: {mean:.3g}, {'above' if above else 'below'}",
            xy=(1, 0.98 if above else 0.02),
            xycoords="axes fraction",
            ha="right",
            va="top" if above else "bottom",
            color=REAL,
        )
    else:
        axes.axhspan(min(values), max(values), color=colour, alpha=0.15, linewidth=0)
        axes.axhline(mean, color=colour, linestyle=line, linewidth=1.2, label=name)


def x_axis(axes: Sequence[Axis]) -> Axis:
    """The axis of the grid that the figure is drawn over: of those with numbers, the one with the most values."""
    if not axes:
        return {}
    return max(axes, key=lambda axis: (bool(numbers(axis)), len(next(iter(axis.values())))))


def numbers(axis: Axis) -> list[float]:
    """The values of the first setting of an axis; empty unless all are numbers."""
    values = next(iter(axis.values()), ())
    found = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return found if len(found) == len(values) else []


def logarithmic(axis: Axis) -> bool:
    """Whether the values of an axis are drawn on a logarithmic scale."""
    values = numbers(axis)
    return bool(values) and min(values) > 0 and max(values) >= CROWDED * min(values)


def positions(axis: Axis) -> dict[tuple[str, ...], float]:
    """Where each value of an axis is drawn: at itself if it is a number, else one after another."""
    keys = [tuple(map(written, one)) for one in zip(*axis.values(), strict=True)] or [()]
    at = numbers(axis)
    places = at if at and len(set(at)) == len(at) else [float(i) for i in range(len(keys))]
    return dict(zip(keys, places, strict=True))


def key(row: Row, paths: Sequence[str]) -> tuple[str, ...]:
    """The values of some settings of a row, as text."""
    return tuple(written(row.settings[path]) for path in paths)


def curves(rows: Sequence[Row], paths: Sequence[str], names: Mapping[str, str]) -> dict[str, list[Row]]:
    """The rows by what varies besides these settings; in the order of the values of these."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        others = ", ".join(f"{names[at]}={written(value)}" for at, value in row.settings.items() if at not in paths)
        found.setdefault(others, []).append(row)
    return found
