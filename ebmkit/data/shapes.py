"""Generated images of simple shapes: images of any size, in colour or grey, without a file."""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Generator, Tensor

from ebmkit.data.images import Channels
from ebmkit.errors import UsageError, check

# Images that are rendered at a time, which bounds the memory.
CHUNK = 1000


class Drawing(NamedTuple):
    """The contents of n images; lengths are in units of half the side of an image.

    Attributes:
        kind: 0 disc, 1 square, 2 triangle, 3 ring, `(n,)`.
        centre: x and y of the centre in [-1, 1], `(n, 2)`.
        radius: Radius of the circle around the shape, `(n,)`.
        angle: Rotation in radians, `(n,)`.
        colour: Brightness in [0, 1] of each channel of the shape, `(n, channels)`.
        background: Brightness in [0, 1] of the rest, `(n,)`.
    """

    kind: Tensor
    centre: Tensor
    radius: Tensor
    angle: Tensor
    colour: Tensor
    background: Tensor


def shapes(*, size: int = 32, channels: Channels = 3, count: int = 10_000, seed: int = 0) -> Tensor:
    """Generated discs, squares, triangles and rings on a dark background, antialiased; needs no file.

    Each image has one complete shape of random kind, place, size, rotation and colour: `(count, channels, size, size)`.

    Args:
        size: Side of the images in pixels, at least 8.
        channels: 3 for colour, 1 for grey.
        count: How many images to generate.
        seed: Seed of the generator.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("size", size, at_least=8)
    check("count", count, at_least=1)
    if channels not in (1, 3):
        raise UsageError(f"channels must be 1 or 3, not {channels}")
    drawing = draw(count, channels, Generator().manual_seed(seed))
    parts = [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
    return torch.cat([render(Drawing(*(values[part] for values in drawing)), size) for part in parts])


def draw(n: int, channels: int, rng: Generator) -> Drawing:
    """`n` random drawings; every shape lies completely inside its image."""
    radius = 0.3 + 0.4 * torch.rand(n, generator=rng)
    hue = 0.1 + torch.rand(n, channels, generator=rng)
    brightness = 0.5 + 0.5 * torch.rand(n, 1, generator=rng)
    return Drawing(
        kind=torch.randint(4, (n,), generator=rng),
        centre=(1 - radius[:, None]) * (2 * torch.rand(n, 2, generator=rng) - 1),
        radius=radius,
        angle=2 * math.pi * torch.rand(n, generator=rng),
        colour=brightness * hue / hue.amax(1, keepdim=True),
        background=0.15 * torch.rand(n, generator=rng),
    )


def render(drawing: Drawing, size: int) -> Tensor:
    """Images `(n, channels, size, size)` in [-1, 1]; edges are one pixel wide."""
    pixel = 2 / size
    grid = torch.arange(size) * pixel + pixel / 2 - 1
    x = grid.view(1, 1, size) - drawing.centre[:, 0].view(-1, 1, 1)
    y = grid.view(1, size, 1) - drawing.centre[:, 1].view(-1, 1, 1)
    angle, radius = drawing.angle.view(-1, 1, 1), drawing.radius.view(-1, 1, 1)
    x, y = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    distance = rearrange(distances(x, y, radius), "kind n h w -> n kind h w")
    inside = (0.5 - distance[torch.arange(len(x)), drawing.kind] / pixel).clamp(0, 1)
    coverage = rearrange(inside, "n h w -> n 1 h w")
    colour = rearrange(drawing.colour, "n c -> n c 1 1")
    background = rearrange(drawing.background, "n -> n 1 1 1")
    return 2 * torch.lerp(background.expand_as(colour), colour, coverage) - 1


def distances(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Signed distances of points `(n, H, W)` from the edge of each kind of shape, negative inside: `(4, n, H, W)`."""
    centre = (x.square() + y.square()).sqrt()
    disc = centre - radius
    square = torch.maximum(x.abs(), y.abs()) - radius / math.sqrt(2)
    slant = math.sqrt(3) / 2 * x.abs() - y / 2
    triangle = torch.maximum(y, slant) - radius / 2
    ring = (centre - 0.75 * radius).abs() - 0.25 * radius
    return torch.stack([disc, square, triangle, ring])
