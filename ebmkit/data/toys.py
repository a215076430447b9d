"""Points in the plane: data whose density can be drawn."""

import math

import torch
from torch import Generator, Tensor

from ebmkit.errors import check


def gaussians(
    *, count: int = 10_000, seed: int = 0, modes: int = 8, radius: float = 1.0, scale: float = 0.15
) -> Tensor:
    """Points in the plane: equally likely Gaussians on a ring, `(count, 2)`; their tails are outside [-1, 1].

    Source: Nijkamp, Hill, Han, Zhu, Wu, AAAI 2020 (the companion paper), its toy experiment.

    Args:
        count: How many points to draw.
        seed: Seed of the generator.
        modes: How many Gaussians there are.
        radius: Radius of the ring of their means.
        scale: Standard deviation of each.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("count", count, at_least=1)
    check("modes", modes, at_least=1)
    check("radius", radius, at_least=0)
    check("scale", scale, at_least=0)
    rng = Generator().manual_seed(seed)
    angle = 2 * math.pi / modes * torch.randint(modes, (count,), generator=rng)
    return radius * _circle(angle) + scale * torch.randn(count, 2, generator=rng)


def rings(*, count: int = 10_000, seed: int = 0, rings: int = 4, scale: float = 0.02) -> Tensor:
    """Points in the plane: equally likely concentric rings, `(count, 2)`; their noise is partly outside [-1, 1].

    The radii are 1/rings, 2/rings, ..., 1.

    Args:
        count: How many points to draw.
        seed: Seed of the generator.
        rings: How many rings there are.
        scale: Standard deviation of the Gaussian noise around each ring.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("count", count, at_least=1)
    check("rings", rings, at_least=1)
    check("scale", scale, at_least=0)
    rng = Generator().manual_seed(seed)
    radius = torch.randint(1, rings + 1, (count, 1), generator=rng) / rings
    angle = 2 * math.pi * torch.rand(count, generator=rng)
    return radius * _circle(angle) + scale * torch.randn(count, 2, generator=rng)


def moons(*, count: int = 10_000, seed: int = 0, scale: float = 0.1) -> Tensor:
    """Points in the plane: two interleaved half circles, `(count, 2)`; their noise is partly outside [-1, 1].

    Without noise, x is in [-1, 1] and y in [-1/2, 1/2].

    Args:
        count: How many points to draw.
        seed: Seed of the generator.
        scale: Standard deviation of the Gaussian noise around each half circle.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("count", count, at_least=1)
    check("scale", scale, at_least=0)
    rng = Generator().manual_seed(seed)
    lower = torch.randint(2, (count, 1), generator=rng).bool()
    arc = _circle(math.pi * torch.rand(count, generator=rng))
    points = torch.where(lower, torch.tensor([1.0, 0.5]) - arc, arc)
    return (points - torch.tensor([0.5, 0.25])) / 1.5 + scale * torch.randn(count, 2, generator=rng)


def _circle(angle: Tensor) -> Tensor:
    """Points `(n, 2)` of the unit circle at the angles `(n,)`."""
    return torch.stack([angle.cos(), angle.sin()], dim=1)
