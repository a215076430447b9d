"""Pictures of examples and chains: tensors in, Pillow images out."""

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageDraw
from torch import Tensor

GUTTER = 2  # pixels between tiles
TILE = 48  # smaller tiles are enlarged
CAPTION = 18  # height of a line of text
CLOUD = 64  # points in a cloud for every image in a grid
INK, PAPER = (40, 40, 40), (245, 245, 245)


def drawable(shape: tuple[int, ...]) -> bool:
    """Whether examples of this shape can be drawn: images of 1 or 3 channels, and points in the plane."""
    return shape == (2,) or (len(shape) == 3 and shape[0] in (1, 3))


def drawn_count(shape: tuple[int, ...], images: int) -> int:
    """How many examples of this shape to draw in place of `images` images: 64 times as many points in the plane."""
    return images * CLOUD if shape == (2,) else images


def grid(x: Tensor, columns: int) -> Image.Image:
    """Examples `(n, *shape)` as one picture: a grid of tiles row by row, or a cloud of points in the plane.

    Images are shown in the range [-1, 1], and values outside it are clipped; pixels that are not finite are red.
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
    """Images `(n, channels, h, w)` in [-1, 1] as bytes `(n, h, w, 3)`; pixels that are not finite are red."""
    x = x.detach().float().cpu()
    if x.shape[1] == 1:
        x = x.expand(-1, 3, -1, -1)
    red = torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1)
    x = torch.where(x.isfinite().all(dim=1, keepdim=True), x, red)
    return rearrange(((x.clamp(-1, 1) + 1) * 127.5).round().byte(), "n c h w -> n h w c").numpy()


def cloud(x: Tensor, bins: int = 96, extent: float = 1.8) -> Image.Image:
    """Points `(n, 2)` as a density on [-extent, extent]², dark where there are many."""
    points = x.detach().float().cpu()
    edges = torch.linspace(-extent, extent, bins + 1)
    counts, _ = torch.histogramdd(points[points.isfinite().all(1)], bins=[edges, edges])
    density = (counts / counts.max().clamp(min=1)).sqrt()
    # The axes of the histogram are x, to the right, and y, upwards; the rows of a picture go down.
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
    """Chains from start to end: a row for each chain, a column for each step, examples `(rows, *shape)` each."""
    return beside({f"k={step}": grid(x, columns=1) for step, x in trajectory.items()})
