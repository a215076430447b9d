"""Draw how the gap, the gradient and the steps of chains changed over the updates of runs, and where they diverged.

    python examples/curves_of_runs.py runs/stop runs/rollback --out curves.png

A dashed line is a divergence. The curve of a run that was rolled back has the updates that it made after it.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebmkit.evaluation.training_curves import read_events, read_metrics

# A value of metrics.jsonl, what it is, and the scale of its axis.
SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "gap": ("gap: E(data) - E(samples)", {"value": "symlog", "linthresh": 10.0}),
    "gradient_norm": ("norm of the parameter gradient", {"value": "log"}),
    "displacement": ("length of a step of a chain", {"value": "linear"}),
}


def draw(axes: Axes, run: Path, value: str, colour: str) -> None:
    """The curve of a run, and its divergences."""
    found = read_metrics(run)
    axes.plot(found["update"].numpy(), found[value].numpy(), color=colour, linewidth=1, label=run.name)
    for event in read_events(run):
        if event["event"] in ("diverged", "rollback"):
            axes.axvline(event["update"], color=colour, linewidth=0.9, linestyle="--")


def main(
    runs: Annotated[list[Path], typer.Argument(help="The folders of runs.")],
    out: Annotated[Path, typer.Option(help="The figure.")] = Path("curves.png"),
) -> None:
    """Draw one panel for each value, with a curve for each run."""
    sheet = Figure(figsize=(4.4 * len(SHOWN), 3.4), layout="constrained")
    for axes, (value, (title, scale)) in zip(sheet.subplots(1, len(SHOWN)), SHOWN.items(), strict=True):
        for index, run in enumerate(runs):
            draw(axes, run, value, f"C{index}")
        axes.set(title=title, xlabel="update")
        axes.set_yscale(**scale)
    sheet.axes[0].legend(frameon=False)
    sheet.savefig(out, dpi=110)
    print(out)


if __name__ == "__main__":
    typer.run(main)
