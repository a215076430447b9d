"""The pictures of a race: curves of every measure over time, and grids of samples, none of them picked."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from quality import LOWER, Curve

from ebmkit.pictures import grid

GRID = 64  # the first samples of the last look, in rows of eight


def draw_curves(curves: Mapping[str, Mapping[str, Mapping[int, Curve]]], title: str, file: Path) -> None:
    """One panel for each measure: a thin line for each seed, the mean in bold; `curves[measure][contender][seed]`."""
    sheet, panels = plt.subplots(1, len(curves), figsize=(4.2 * len(curves), 4.6), layout="constrained")
    for axes, (measure, contenders) in zip(panels, curves.items(), strict=True):
        for index, (name, seeds) in enumerate(contenders.items()):
            draw_contender(axes, name, seeds, f"C{index}")
        reals = [curve.real for seeds in contenders.values() for curve in seeds.values()]
        axes.axhline(sum(reals) / len(reals), color="black", linewidth=0.8, linestyle="--", label="real against real")
        axes.set(title=measure, xlabel="seconds of training", xscale="log")
        if next((lower for name, lower in LOWER.items() if measure.startswith(name)), False):
            axes.set_yscale("symlog", linthresh=linear_below(contenders))
    handles, labels = panels[0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    sheet.suptitle(f"{title}; dotted: the starts of the chains")
    sheet.savefig(file, dpi=110)
    plt.close(sheet)


def draw_contender(axes: Axes, name: str, seeds: Mapping[int, Curve], colour: str) -> None:
    """The curves of a contender; a curve has a gap where its samples could not be measured."""
    lines = []
    for curve in seeds.values():
        (_, start), *points = curve.points
        lines.append([(at, float("nan") if value is None else value) for at, value in points])
        axes.plot(*zip(*lines[-1], strict=True), color=colour, linewidth=0.6, alpha=0.6)
        if start is not None:
            axes.axhline(start, color=colour, linewidth=0.6, linestyle=":")
    shortest = min(map(len, lines))
    mean = torch.tensor([line[:shortest] for line in lines], dtype=torch.float64).mean(0)
    axes.plot(mean[:, 0], mean[:, 1], color=colour, linewidth=2, marker="o", markersize=3, label=name)


def linear_below(contenders: Mapping[str, Mapping[int, Curve]]) -> float:
    """Where the axis of a distance becomes linear: unbiased estimates near 0 can be negative."""
    values = [point.value for seeds in contenders.values() for curve in seeds.values() for point in curve.points]
    return max(abs(value) for value in values if value is not None) / 100


def draw_grid(x: torch.Tensor, file: Path) -> None:
    """The first samples `(n, C, H, W)` as one picture."""
    grid(x[:GRID].float(), 8).save(file)
