"""What every measure is given: rows of finite numbers, in double precision."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ebmkit.errors import UsageError, check

# Rows whose distances to all others are held at once.
CHUNK = 1024

# Squared distances are sums of far larger squares: below this part of them nothing is known, and it counts as 0.
ROUNDING = 1e-12


def rows(name: str, x: Tensor, at_least: int = 1) -> Tensor:
    """Examples `(n, *shape)` as rows `(n, d)` in double precision, free of graphs.

    Raises:
        UsageError: if there are fewer than `at_least`, or some are not finite; it says how many.
    """
    if x.ndim < 2 or not x[:1].numel():
        raise UsageError(f"{name} must be of shape (n, *shape), not {tuple(x.shape)}")
    check(f"how many there are in {name}", len(x), at_least=at_least)
    flat = x.detach().flatten(1).double()
    broken = int((~flat.isfinite()).any(1).sum())
    if broken:
        raise UsageError(f"{broken} of {len(flat)} in {name} hold NaN or infinity: expected finite numbers")
    return flat


def pair(real: Tensor, fake: Tensor, at_least: int = 1) -> tuple[Tensor, Tensor]:
    """Rows of both, `(n, d)` and `(m, d)`.

    Raises:
        UsageError: as `rows` does, or if the two are not of one width.
    """
    one, two = rows("real", real, at_least), rows("fake", fake, at_least)
    if one.shape[1] != two.shape[1]:
        raise UsageError(f"real has {one.shape[1]} numbers in a row and fake {two.shape[1]}: expected the same")
    return one, two


def squared_distances(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """`|aᵢ - bⱼ|²` a block of rows at a time, each `(at most CHUNK, len(b))`."""
    origin = b.mean(0)  # it takes nothing from distances, and gains digits
    b = b - origin
    there = b.square().sum(1)
    for block in (a - origin).split(CHUNK):  # type: ignore[no-untyped-call]
        scale = block.square().sum(1, keepdim=True) + there
        squared = scale - 2 * block @ b.T
        yield squared.masked_fill(squared < ROUNDING * scale, 0.0)


def mean_over_pairs(blocks: Iterator[Tensor], n: int, m: int, diagonal: float | None = None) -> float:
    """Mean of an `(n, m)` matrix that comes in blocks; where its diagonal is given, of what is off it (and n is m)."""
    total = sum((block.sum() for block in blocks), torch.zeros((), dtype=torch.float64))
    if diagonal is None:
        return float(total) / (n * m)
    return (float(total) - n * diagonal) / (n * (n - 1))
