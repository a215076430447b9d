"""Moment matching: the means of the network's last features under the data and under the short run.

    python examples/paper/moments.py RUN runs/moments

Where training has come to rest, E_q[h] = E_data[h] for the features h below the last layer, also if the chains are
far from having converged.
"""

import sys
from pathlib import Path

import matplotlib
import torch
from figure_files import measured
from matplotlib.figure import Figure

from ebmkit.evaluation import FeatureMeans, feature_means
from ebmkit.report.context import random_examples
from ebmkit.runs.model import data_of, open_model
from ebmkit.study.figure import COLOURS, STYLE

COUNT = 1000


def draw(found: dict[str, FeatureMeans], path: Path) -> None:
    """A dot for each feature: its mean under the data, and under something else."""
    with matplotlib.rc_context(STYLE):
        sheet = Figure(figsize=(3.8 * len(found), 3.6), layout="constrained")
        for i, (title, means) in enumerate(found.items()):
            axes = sheet.add_subplot(1, len(found), i + 1)
            axes.axline((0, 0), slope=1, color="#999999", linewidth=1)
            axes.scatter(means.data.cpu(), means.model.cpu(), s=9, alpha=0.5, linewidths=0, color=COLOURS[i])
            axes.set(title=title, xlabel="mean under the data", ylabel=f"mean under {title}")
        sheet.savefig(path, dpi=150, metadata={"Software": None})


def main(run: Path, out: Path) -> None:
    """Compare the means of the features under samples, and under starts, with those under the data."""
    model = open_model(run)
    rng = torch.Generator(model.device).manual_seed(1)
    with measured(out, run=run.name, updates=model.saved.updates, seeds=1) as values:
        examples = data_of(model.saved)
        data = random_examples(examples, min(COUNT, len(examples))).to(model.device)
        starts = model.short.starts(COUNT, rng)
        samples = model.short.sample(COUNT, rng)
        found = {
            "samples": feature_means(model.short.energy, data, samples),
            "starts of chains": feature_means(model.short.energy, data, starts),
        }
        for title, means in found.items():
            values[f"|E[h] - E_data[h]| / |E_data[h]|, {title}"] = round(means.distance, 4)
            values[f"correlation of the means, {title}"] = round(means.correlation, 4)
        values["the same distance by the noise of sampling only"] = round(found["samples"].noise, 4)
        draw(found, out / "moments.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
