"""Pictures of examples and chains: tensors in, Pillow images out."""

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageDraw
from torch import Tensor

GUTTER = 2  # pixels between tiles
TILE = 48  # tiles smaller than this are enlarged, so that a person sees them
CAPTION = 18  # height of a line of text
CLOUD = 64  # a cloud of points needs this many times the examples of a grid
INK, PAPER = (40, 40, 40), (245, 245, 245)


def drawable(shape: tuple[int, ...]) -> bool:
    """Whether examples of this shape can be drawn: images of 1 or 3 channels, and points in the plane."""
    return shape == (2,) or (len(shape) == 3 and shape[0] in (1, 3))


def drawn_count(shape: tuple[int, ...], images: int) -> int:
    """How many examples of this shape to draw where `images` images would do: points in the plane make a cloud."""
    return images * CLOUD if shape == (2,) else images


def grid(x: Tensor, columns: int) -> Image.Image:
    """Examples `(n, *shape)` as one picture: a grid of tiles row by row, or a cloud of points in the plane.

    Images are shown on the range [-1, 1], values outside it cut off; values that are not finite are drawn red.
    """
    if x.ndim == 2:
        return cloud(x)
    side = max(x.shape[-2:])
    scale = -(-TILE // side)
    tiles = pixels(x).repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width, _ = tiles.shape
    rows = -(-count // columns)
    canvas = np.full((rows * columns, height + GUTTER, width + GUTTER, 3), PAPER, dtype=np.uint8)
    canvas[:count, :height, :width] = tiles
    sheet = rearrange(canvas, "(rows columns) h w c -> (rows h) (columns w) c", rows=rows)
    return Image.fromarray(sheet[: -GUTTER or None, : -GUTTER or None])


def pixels(x: Tensor) -> np.ndarray:
    """Images `(n, channels, h, w)` on [-1, 1] as bytes `(n, h, w, 3)`."""
    x = x.detach().float().cpu()
    if x.shape[1] == 1:
        x = x.expand(-1, 3, -1, -1)
    red = torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1)
    x = torch.where(x.isfinite().all(dim=1, keepdim=True), x, red)
    return rearrange(((x.clamp(-1, 1) + 1) * 127.5).round().byte(), "n c h w -> n h w c").numpy()


def cloud(x: Tensor, bins: int = 96, extent: float = 1.8) -> Image.Image:
    """Points `(n, 2)` as a density on [-extent, extent]², dark where many are."""
    points = x.detach().float().cpu()
    edges = torch.linspace(-extent, extent, bins + 1)
    counts, _ = torch.histogramdd(points[points.isfinite().all(1)], bins=[edges, edges])
    density = (counts / counts.max().clamp(min=1)).sqrt()
    # The histogram's first axis is x to the right, its second y upwards; a picture's rows go down.
    shade = rearrange(255 - 215 * density, "x y -> y x").flip(0).byte().numpy()
    return Image.fromarray(shade).resize((3 * bins, 3 * bins), Image.Resampling.NEAREST).convert("RGB")


def beside(panels: dict[str, Image.Image]) -> Image.Image:
    """Panels side by side, each under its caption."""
    widths = [max(panel.width, 8 * len(caption)) for caption, panel in panels.items()]
    height = CAPTION + max(panel.height for panel in panels.values())
    gap = 8 * GUTTER
    sheet = Image.new("RGB", (sum(widths) + gap * (len(panels) + 1), height + gap), PAPER)
    pen, left = ImageDraw.Draw(sheet), gap
    for (caption, panel), width in zip(panels.items(), widths, strict=True):
        pen.text((left, 4), caption, fill=INK)
        sheet.paste(panel, (left, CAPTION))
        left += width + gap
    return sheet


def strip(trajectory: dict[int, Tensor]) -> Image.Image:
    """Noise to image: a row for each chain, a column for each step of the chain, examples `(rows, *shape)`."""
    return beside({f"k={step}": grid(x, columns=1) for step, x in trajectory.items()})
