"""The pictures of a race: curves of every measure over time, and grids of samples, none of them picked."""

import math
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from quality import LOWER, Curve
from torch import Tensor

from ebmkit.pictures import grid

COLUMNS = 3  # panels in a row of the figure; the legend has one of its own
GRID = 64  # samples in a grid, the first of the last look, in rows of eight
LINEAR = 50  # the axis of a distance is linear below this fraction of its largest value, as estimates can be negative


def draw_curves(curves: Mapping[str, Mapping[str, Mapping[int, Curve]]], title: str, file: Path) -> None:
    """One panel for each measure: a thin line for each seed, the mean in bold; `curves[measure][contender][seed]`."""
    rows = math.ceil((len(curves) + 1) / COLUMNS)
    sheet = Figure(figsize=(4.4 * COLUMNS, 3.6 * rows), layout="constrained")
    *panels, last = sheet.subplots(rows, COLUMNS, squeeze=False).flatten()[: len(curves) + 1]
    for axes, (measure, contenders) in zip(panels, curves.items(), strict=True):
        for index, (name, seeds) in enumerate(contenders.items()):
            draw_contender(axes, name, seeds, mpl.colormaps["tab10"](index))
        reals = [curve.real for seeds in contenders.values() for curve in seeds.values()]
        axes.axhline(sum(reals) / len(reals), color="black", linewidth=0.8, linestyle="--", label="real against real")
        axes.set(title=measure, xlabel="seconds of training", xscale="log")
        label_looks(axes, [at for at, _ in next(iter(next(iter(contenders.values())).values())).points[1:]])
        if LOWER[measure]:
            scale(axes, contenders)
    handles, labels = panels[0].get_legend_handles_labels()
    last.axis("off")
    last.legend(handles, labels, loc="center", frameon=False, title="dotted: the starts of the chains")
    for unused in sheet.axes[len(curves) + 1 :]:
        unused.remove()
    sheet.suptitle(title)
    sheet.savefig(file, dpi=110)


def draw_contender(axes: Axes, name: str, seeds: Mapping[int, Curve], colour: object) -> None:
    """The curves of a contender; a curve has a gap where its samples could not be measured."""
    lines = []
    for curve in seeds.values():
        (_, start), *points = curve.points
        lines.append([(at, math.nan if value is None else value) for at, value in points])
        axes.plot(*zip(*lines[-1], strict=True), color=colour, linewidth=0.6, alpha=0.6)
        if start is not None:
            axes.axhline(start, color=colour, linewidth=0.8, linestyle=":")
    shortest = min(map(len, lines))
    mean = torch.tensor([line[:shortest] for line in lines], dtype=torch.float64).mean(0)
    axes.plot(mean[:, 0], mean[:, 1], color=colour, linewidth=2, marker="o", markersize=3, label=name)


def label_looks(axes: Axes, looks: list[float]) -> None:
    """Ticks at the looks of one curve; every second has its seconds, so that the labels do not meet."""
    axes.set_xticks(looks, [f"{at:.0f}" if index % 2 == 0 else "" for index, at in enumerate(looks[::-1])][::-1])
    axes.minorticks_off()


def scale(axes: Axes, contenders: Mapping[str, Mapping[int, Curve]]) -> None:
    """A logarithmic axis that is linear near 0 and ends a little below the lowest value."""
    every = [curve for seeds in contenders.values() for curve in seeds.values()]
    values = [value for curve in every for _, value in curve.points if value is not None]
    lowest, linear = min([*values, *(curve.real for curve in every)]), max(values) / LINEAR
    axes.set_yscale("symlog", linthresh=linear)
    axes.set_ylim(bottom=lowest - linear / 2 if lowest < linear else lowest / 2)


def draw_grid(x: Tensor, file: Path) -> None:
    """The first samples `(n, C, H, W)` as one picture."""
    grid(x[:GRID].float(), 8).save(file)
