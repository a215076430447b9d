"""The 2-D toy: the densities of the data, of the short run q_theta, and of the energy p_theta, side by side.

    python examples/paper/densities.py runs/densities          # 2,000 updates, about a minute on one core
    python examples/paper/densities.py runs/toy2d nijkamp2019-toy2d

q_theta is a kernel estimate from 10,000 samples, with bandwidth 0.1 (the companion paper's). p_theta is
exp(-E/T) on a grid, with the temperature T that the steps of the chain imply.
"""

import math
import sys
from pathlib import Path

import matplotlib
import torch
from figure_files import measured
from matplotlib.figure import Figure
from torch import Tensor

from ebmkit.config.layers import preset
from ebmkit.evaluation import energies
from ebmkit.runs import new_run
from ebmkit.study.figure import STYLE

CELLS, EXTENT = 120, 1.8  # the grid is CELLS x CELLS on [-EXTENT, EXTENT]²
BANDWIDTH, SAMPLES = 0.1, 10_000
MASS = 0.9


def grid() -> Tensor:
    """The centres of the cells, `(CELLS², 2)`, row by row from the top."""
    middles = EXTENT * ((2 * torch.arange(CELLS) + 1) / CELLS - 1)
    up, across = torch.meshgrid(middles.flip(0), middles, indexing="ij")
    return torch.stack([across, up], dim=2).view(-1, 2)


def normalised(log_density: Tensor) -> Tensor:
    """Probabilities of the cells, from the logarithm of a density up to a constant."""
    return torch.softmax(log_density.double(), dim=0)


def kernel_estimate(points: Tensor, cells: Tensor) -> Tensor:
    """Probabilities of the cells by a Gaussian kernel estimate from points `(n, 2)`."""
    squares = [torch.cdist(chunk, points).square() for chunk in cells.split(256)]
    return normalised(torch.cat([torch.logsumexp(-square / (2 * BANDWIDTH**2), dim=1) for square in squares]))


def distance(p: Tensor, q: Tensor) -> float:
    """Total variation distance of two distributions over the cells, in [0, 1]."""
    return round(float((p - q).abs().sum() / 2), 3)


def area(p: Tensor) -> float:
    """The area of the most likely cells that together have 90 % of the probability."""
    count = int((p.sort(descending=True).values.cumsum(0) < MASS).sum()) + 1
    return round(count * (2 * EXTENT / CELLS) ** 2, 4)


def draw(panels: dict[str, Tensor], path: Path) -> None:
    """Draw distributions over the cells, each on a scale of its own."""
    with matplotlib.rc_context(STYLE):
        sheet = Figure(figsize=(3.2 * len(panels), 3.5), layout="constrained")
        for i, (title, p) in enumerate(panels.items()):
            axes = sheet.add_subplot(1, len(panels), i + 1)
            span = (-EXTENT, EXTENT, -EXTENT, EXTENT)
            axes.imshow(p.view(CELLS, CELLS).numpy(), extent=span, cmap="Greys", interpolation="nearest")
            axes.set(title=title, xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlabel=f"90 % within an area of {area(p):.3g}")
        sheet.savefig(path, dpi=150, metadata={"Software": None})


def main(out: Path, name: str = "anatomy-gaussians", iterations: int | None = None) -> None:
    """Train on eight Gaussians, and compare the three densities."""
    layer = preset(name)
    run = new_run(layer)
    updates = iterations or run.recipe.train.iterations
    with measured(out, preset=name, updates=updates, seeds=1) as values:
        for update in run.updates():
            if update.index == updates:
                break
        trainer, cells = run.trainer, grid()
        temperature = trainer.sampler.implied_temperature or math.nan
        rng = torch.Generator().manual_seed(1)
        starts = trainer.init.sample(SAMPLES, rng)
        ends = trainer.sampler.sample(trainer.model, starts, rng)
        data = kernel_estimate(run.examples.fetch(torch.arange(SAMPLES)), cells)
        start, short = kernel_estimate(starts, cells), kernel_estimate(ends, cells)
        model = normalised(-energies(trainer.model, cells) / temperature)
        values["total variation distance of the short run from the data"] = distance(short, data)
        values["total variation distance of the starts from the data"] = distance(start, data)
        values["total variation distance of the energy's density from the data"] = distance(model, data)
        for title, p in {"data": data, "short run": short, "energy's density": model}.items():
            values[f"area with 90 % of the {title}"] = area(p)
        panels = {"data": data, "short run $q_\\theta$": short, "energy, $p_\\theta$": model}
        draw(panels, out / "densities.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
