"""Pictures and plots as HTML: Pillow images as embedded PNG, matplotlib figures as inline SVG."""

import base64
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

# Colours with enough contrast on white and on black.
DATA, MODEL, NOISE = "#2f7fc1", "#d0651b", "#858b95"
COLOURS = (DATA, MODEL, NOISE, "#2e9b68")
INK = "#123456"  # a placeholder for the text colour of the page, which only the browser knows
POINTS = 400  # a longer curve is cut into this many pieces, and their means are drawn
SIZE = (4.4, 3.0)  # inches: the text is still readable at the width of a phone
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ebmkit",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "legend.frameon": False,
    "legend.fontsize": 10,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
    ),
}


@contextmanager
def styled(style: Any) -> Iterator[None]:
    """The defaults of matplotlib with this style, and text as it is written.

    A file `matplotlibrc` of the current folder has no effect: it could have texts set by LaTeX, which executes them.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"text.parse_math": False, **style})
        yield


def image(picture: Image.Image, alt: str) -> str:
    """A picture as an `<img>` with embedded PNG data."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img src="data:image/png;base64,{data}" {size} alt="{escape(alt)}">'


def plot(draw: Callable[[Axes], None], *, title: str, x: str, y: str, alt: str) -> str:
    """A plot as inline SVG, with text in the colour of the page and no background; `draw` fills its axes."""
    with styled(STYLE):
        sheet = Figure(figsize=SIZE)
        axes = sheet.add_subplot()
        # Constrained layout would find the same margins, but doubles the time of a plot.
        sheet.subplots_adjust(left=0.21 if y else 0.16, right=0.97, bottom=0.17, top=0.9)
        draw(axes)
        axes.locator_params(axis="x", nbins=6)
        axes.set(title=title, xlabel=x, ylabel=y)
        if axes.get_legend_handles_labels()[1]:
            axes.legend()
        file = io.StringIO()
        sheet.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    # matplotlib gives the groups of every plot the same ids, but an id must be unique in a page.
    svg = re.sub(r'<g id="[^"]*"', "<g", text[text.index("<svg") + 4 :].replace(INK, "currentColor"))
    return f'<figure><svg role="img" aria-label="{escape(alt)}"{svg}</figure>'


def curves(step: Tensor, series: Mapping[str, Tensor], *, title: str, x: str = "update", zero: bool = False) -> str:
    """Curves `(n,)` over `step` `(n,)`, thinned if they are long; `zero` draws a line at 0."""

    def draw(axes: Axes) -> None:
        if zero:
            axes.axhline(0, color=NOISE, linewidth=0.8)
        for colour, (name, values) in zip(COLOURS, series.items(), strict=False):
            at, middle, low, high = thinned(step, values)
            if len(at) < len(step):
                axes.fill_between(at, low, high, color=colour, alpha=0.25, linewidth=0)
            axes.plot(at, middle, color=colour, linewidth=1.4, label=name if len(series) > 1 else None)

    lasts = ", ".join(f"{name} ends at {float(values[-1]):.3g}" for name, values in series.items())
    return plot(draw, title=title, x=x, y="", alt=f"{title} by {x}: {lasts}.")


def thinned(step: Tensor, values: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A curve cut into at most `POINTS` equal pieces: the last step, mean, minimum and maximum of each."""
    pieces = min(len(step), POINTS)
    parts = list(zip(step.tensor_split(pieces), values.tensor_split(pieces), strict=True))
    at = torch.stack([steps[-1] for steps, _ in parts])
    middle, low, high = (torch.stack([f(part) for _, part in parts]) for f in (torch.mean, torch.amin, torch.amax))
    return at.numpy(), middle.numpy(), low.numpy(), high.numpy()


def band(mean: Tensor, sd: Tensor, *, title: str, x: str) -> str:
    """A mean `(n,)` over its index, in a band of one standard deviation on either side."""
    mean, sd = mean.float().cpu(), sd.float().cpu()
    at = np.arange(len(mean))

    def draw(axes: Axes) -> None:
        axes.fill_between(at, (mean - sd).numpy(), (mean + sd).numpy(), color=MODEL, alpha=0.25, linewidth=0)
        axes.plot(at, mean.numpy(), color=MODEL, linewidth=1.4)

    ends = f"from {float(mean[0]):.3g} to {float(mean[-1]):.3g}"
    return plot(draw, title=title, x=x, y="mean ± sd", alt=f"{title}, {ends} over {len(mean) - 1} steps.")


def histograms(series: Mapping[str, Tensor], *, title: str, x: str, bins: int = 40) -> str:
    """Histograms of values `(n,)` on common bins, as fractions; values that are not finite are left out."""
    finite = {name: values[values.isfinite()].cpu().double().numpy() for name, values in series.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(finite.values())), bins)

    def draw(axes: Axes) -> None:
        for colour, (name, values) in zip(COLOURS, finite.items(), strict=False):
            share = np.histogram(values, edges)[0] / max(1, len(values))
            axes.stairs(share, edges, color=colour, fill=True, alpha=0.3)
            axes.stairs(share, edges, color=colour, linewidth=1.4, label=name)

    means = ", ".join(f"{name} {float(values.double().mean()):.3g}" for name, values in series.items())
    return plot(draw, title=title, x=x, y="fraction", alt=f"{title}. Means: {means}.")


def scatter(a: Tensor, b: Tensor, *, title: str, x: str, y: str, alt: str) -> str:
    """Points (a, b), `(n,)` each, evenly thinned if there are many, and the line a = b."""
    thin = slice(None, None, -(-len(a) // (4 * POINTS)))
    across, up = a[thin].cpu().double().numpy(), b[thin].cpu().double().numpy()

    def draw(axes: Axes) -> None:
        axes.axline((float(across[0]), float(across[0])), slope=1, color=NOISE, linewidth=0.8)
        axes.scatter(across, up, s=8, color=MODEL, alpha=0.5, linewidths=0)

    return plot(draw, title=title, x=x, y=y, alt=alt)
