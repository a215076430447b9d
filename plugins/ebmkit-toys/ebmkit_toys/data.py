"""Points in the plane: data whose density can be drawn."""

import math

import torch
from torch import Generator, Tensor

from ebmkit import check


def checkerboard(*, count: int = 10_000, seed: int = 0, squares: int = 4) -> Tensor:
    """Points in the plane: uniform on the dark squares of the board [-1, 1]², `(count, 2)`.

    The square at the lower left is dark.

    Source: the toy data of Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud, "FFJORD", ICLR 2019.

    Args:
        count: Number of points.
        seed: Seed of the generator.
        squares: Number of squares along each side of the board.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("count", count, at_least=1)
    check("squares", squares, at_least=1)
    rng = Generator().manual_seed(seed)
    dark = [(column, row) for row in range(squares) for column in range(row % 2, squares, 2)]
    corner = torch.tensor(dark)[torch.randint(len(dark), (count,), generator=rng)]
    return 2 * (corner + torch.rand(count, 2, generator=rng)) / squares - 1


def spirals(*, count: int = 10_000, seed: int = 0, arms: int = 2, turns: float = 1.5, scale: float = 0.02) -> Tensor:
    """Points in the plane: spiral arms from the centre to the unit circle, `(count, 2)`; the tails leave [-1, 1].

    The distance from the centre is the root of a uniform number, and the angle grows in proportion to the distance.

    Source: the toy data of Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud, "FFJORD", ICLR 2019.

    Args:
        count: Number of points.
        seed: Seed of the generator.
        arms: Number of arms, equally likely.
        turns: Number of turns of each arm.
        scale: Standard deviation of the Gaussian noise around each arm.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("count", count, at_least=1)
    check("arms", arms, at_least=1)
    check("turns", turns, at_least=0)
    check("scale", scale, at_least=0)
    rng = Generator().manual_seed(seed)
    start = torch.randint(arms, (count,), generator=rng) / arms
    radius = torch.rand(count, generator=rng).sqrt()
    return _polar(radius, start + turns * radius) + scale * torch.randn(count, 2, generator=rng)


def pinwheel(
    *,
    count: int = 10_000,
    seed: int = 0,
    arms: int = 5,
    radius: float = 0.5,
    length: float = 0.15,
    width: float = 0.05,
    twist: float = 0.25,
) -> Tensor:
    """Points in the plane: Gaussian vanes around the centre, bent by a twist, `(count, 2)`; their tails leave [-1, 1].

    A vane is `N(radius, length²)` along and `N(0, width²)` across; then each point is rotated by
    `twist * exp(along / radius)` radians.

    Source: Johnson, Duvenaud, Wiltschko, Adams, Datta, "Composing graphical models with neural networks", NeurIPS
    2016, at half its size.

    Args:
        count: Number of points.
        seed: Seed of the generator.
        arms: Number of vanes, equally likely.
        radius: Distance of the middle of each vane from the centre.
        length: Standard deviation of a vane along its direction.
        width: Standard deviation of a vane across.
        twist: Strength of the bend of the vanes, in radians; 0 for straight ones.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("count", count, at_least=1)
    check("arms", arms, at_least=1)
    check("radius", radius, above=0)
    check("length", length, at_least=0)
    check("width", width, at_least=0)
    check("twist", twist)
    rng = Generator().manual_seed(seed)
    start = torch.randint(arms, (count,), generator=rng) / arms
    noise = torch.randn(count, 2, generator=rng)
    along, across = radius + length * noise[:, 0], width * noise[:, 1]
    turn = start + twist / (2 * math.pi) * (along / radius).exp()
    return _polar(along, turn) + _polar(across, turn + 0.25)


def swiss_roll(*, count: int = 10_000, seed: int = 0, scale: float = 0.02) -> Tensor:
    """Points in the plane: a roll seen from its end, `(count, 2)`; the tails at its outer end leave [-1, 1].

    The distance from the centre is uniform between 1/3 and 1, and the angle is 2.25 turns times the distance.

    Source: scikit-learn's `make_swiss_roll` without its third coordinate, divided by its largest distance.

    Args:
        count: Number of points.
        seed: Seed of the generator.
        scale: Standard deviation of the Gaussian noise around the roll.

    Raises:
        UsageError: if a setting is out of range.
    """
    check("count", count, at_least=1)
    check("scale", scale, at_least=0)
    rng = Generator().manual_seed(seed)
    radius = (1 + 2 * torch.rand(count, generator=rng)) / 3
    return _polar(radius, 2.25 * radius) + scale * torch.randn(count, 2, generator=rng)


def _polar(radius: Tensor, turns: Tensor) -> Tensor:
    """Points `(n, 2)` at these distances from the centre `(n,)` and these angles `(n,)`, in turns."""
    angle = 2 * math.pi * turns
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
