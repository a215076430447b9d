"""Chains beyond K steps: samples of the short run leave the range of the data as the chain goes on.

python examples/paper/long_run.py RUN runs/long-run            # 100 times K steps
python examples/paper/long_run.py RUN runs/long-run 1000       # with K = 100, the companion paper's 100,000 steps
"""

import sys
from pathlib import Path

import matplotlib
import torch
from figure_files import measured
from matplotlib.figure import Figure
from torch import Tensor

from ebmkit.evaluation import energies
from ebmkit.pictures import strip
from ebmkit.report.context import random_examples
from ebmkit.runs.model import data_of, open_model
from ebmkit.study.figure import COLOURS, STYLE

CHAINS, ROWS = 32, 6
LOOKS = 6  # at how many steps the chains are looked at, K and the last included


def saturation(x: Tensor) -> float:
    """How far the elements are outside [-1, 1] on average: 0 for images."""
    return float((x.abs() - 1).clamp(min=0).mean())


def draw(steps: list[int], curves: dict[str, list[float]], short: int, path: Path) -> None:
    """A panel for each curve over the steps, which are logarithmic; the end of the short run is a dashed line."""
    with matplotlib.rc_context(STYLE):
        sheet = Figure(figsize=(4.2 * len(curves), 3.2), layout="constrained")
        for i, (title, values) in enumerate(curves.items()):
            axes = sheet.add_subplot(1, len(curves), i + 1)
            axes.axvline(short, color="#555555", linestyle="--", linewidth=1)
            axes.plot(steps, values, color=COLOURS[i], marker="o", markersize=3)
            axes.set(title=title, xlabel="step of the chain (dashed: K)", xscale="log")
        sheet.savefig(path, dpi=150, metadata={"Software": None})


def main(run: Path, out: Path, times: int = 100) -> None:
    """Continue chains to `times` times K steps."""
    model = open_model(run)
    short = model.short
    rng = torch.Generator(model.device).manual_seed(1)
    k = short.sampler.steps
    if k is None:
        raise SystemExit("the sampler of this run has no number of steps")
    with measured(out, run=run.name, updates=model.saved.updates, seeds=1, steps=k * times) as values:
        looks = {0, *(k * round(times ** (part / (LOOKS - 1))) for part in range(LOOKS))}
        kept = {step: x for step, x, *_ in short.long_run(CHAINS, rng, times=times) if step in looks}
        strip({step: x[:ROWS] for step, x in kept.items()}).save(out / "chains.png")
        later = [step for step in kept if step]
        curves = {
            "mean distance outside [-1, 1]": [saturation(kept[step]) for step in later],
            "mean energy": [float(energies(short.energy, kept[step]).mean()) for step in later],
        }
        draw(later, curves, k, out / "long-run.png")
        real = energies(short.energy, random_examples(data_of(model.saved), CHAINS).to(model.device))
        for title, curve in curves.items():
            values[f"{title} after K = {k} steps"] = round(curve[0], 4)
            values[f"{title} after {k * times:,} steps"] = round(curve[-1], 4)
        values["mean energy of real examples"] = round(float(real.mean()), 4)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:4]))
