"""The chain as a generator x = M(z): a transition strip, interpolations, and reconstructions with their error.

python examples/paper/generator.py RUN runs/generator
"""

import sys
from pathlib import Path

import matplotlib
import torch
from einops import rearrange
from figure_files import measured
from matplotlib.figure import Figure
from torch import Tensor

from ebmkit.pictures import beside, grid, strip
from ebmkit.report.context import random_examples
from ebmkit.runs.model import data_of, open_model
from ebmkit.study.figure import COLOURS, STYLE

ROWS, COLUMNS, COUNT = 6, 10, 64
UPDATES, AT = 200, (0, 10, 50, 200)


def draw(error: Tensor, path: Path) -> None:
    """The squared error per pixel over the updates of z, with the middle half of the images."""
    with matplotlib.rc_context(STYLE):
        sheet = Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = sheet.add_subplot()
        low, high = error.quantile(torch.tensor([0.25, 0.75]).to(error), dim=1)
        axes.fill_between(range(len(error)), low, high, color=COLOURS[0], alpha=0.25, linewidth=0, label="middle half")
        axes.plot(error.mean(1), color=COLOURS[0], label="mean")
        axes.set(xlabel="update t of z", title="squared error per pixel, scale [-1, 1]", yscale="log")
        axes.legend()
        sheet.savefig(path, dpi=150, metadata={"Software": None})


def main(run: Path, out: Path) -> None:
    """Draw the three, and measure the reconstructions."""
    model = open_model(run)
    short, rng = model.short, torch.Generator(model.device).manual_seed(1)
    with measured(out, run=run.name, updates=model.saved.updates, seeds=1) as values:
        k = short.sampler.steps or 0
        at = sorted({round(k * part / (COLUMNS - 1)) for part in range(COLUMNS)})
        strip(short.trajectory(ROWS, rng, at=at)).save(out / "transition.png")
        z1, z2 = (short.init.sample(ROWS, rng) for _ in range(2))
        grid(rearrange(short.interpolate(z1, z2, COLUMNS), "n b ... -> (b n) ..."), COLUMNS).save(
            out / "interpolation.png"
        )
        x = random_examples(data_of(model.saved), COUNT).to(model.device)
        found = short.reconstruct(x, rng, updates=UPDATES, at=AT)
        columns = {"given": x} | {f"t={t}": kept for t, kept in found.kept.items()}
        beside({title: grid(kept[:ROWS], 1) for title, kept in columns.items()}).save(out / "reconstruction.png")
        error = found.error.cpu().double()
        draw(error, out / "error.png")
        for t in AT:
            values[f"squared error per pixel after {t} updates, scale [-1, 1]"] = round(float(error[t].mean()), 4)
        values[f"squared error per pixel after {UPDATES} updates, scale [0, 1]"] = round(float(error[-1].mean()) / 4, 4)
        spread = (x - x.mean(0)).square().mean()
        values["squared error per pixel of the mean image, scale [-1, 1]"] = round(float(spread), 4)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
