"""The input of every measure: rows of finite values in double precision, and the distances between them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ebmkit.errors import UsageError, check

# How many rows have their distances to all others in memory at once.
CHUNK = 1024

# A squared distance is the difference of far larger squares: below this fraction of them it is rounding, and set to 0.
ROUNDING = 1e-12


def doubles(x: Tensor) -> Tensor:
    """`x` in double precision, detached; on the CPU if its device has no double precision, as mps."""
    x = x.detach()
    return (x.cpu() if x.device.type == "mps" else x).double()


def finite_rows(name: str, x: Tensor, at_least: int = 1) -> Tensor:
    """Examples `(n, *shape)` as rows `(n, d)`: see `doubles`.

    Raises:
        UsageError: if there are fewer than `at_least`, or some are not finite; the message says how many.
    """
    if x.ndim < 2 or not x[:1].numel():
        raise UsageError(f"{name} must be of shape (n, *shape), not {tuple(x.shape)}")
    check(f"the number of rows in {name}", len(x), at_least=at_least)
    flat = doubles(x).flatten(1)
    broken = int((~flat.isfinite()).any(1).sum())
    if broken:
        raise UsageError(f"{broken} of {len(flat)} in {name} contain NaN or infinity; expected finite values")
    return flat


def pair(real: Tensor, fake: Tensor, at_least: int = 1) -> tuple[Tensor, Tensor]:
    """Rows of both, `(n, d)` and `(m, d)`.

    Raises:
        UsageError: as `finite_rows` does, or if the two differ in d.
    """
    one, two = finite_rows("real", real, at_least), finite_rows("fake", fake, at_least)
    if one.shape[1] != two.shape[1]:
        raise UsageError(f"real has {one.shape[1]} values per row and fake {two.shape[1]}; expected the same number")
    return one, two


def squared_distances(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """`|aᵢ - bⱼ|²` in blocks of at most CHUNK rows of `a`, each `(rows, len(b))`."""
    origin = b.mean(0)  # shifting both leaves distances as they are, and loses fewer digits
    b = b - origin
    there = b.square().sum(1)
    for block in (a - origin).split(CHUNK):  # type: ignore[no-untyped-call]
        scale = block.square().sum(1, keepdim=True) + there
        squared = scale - 2 * block @ b.T
        yield squared.masked_fill(squared < ROUNDING * scale, 0.0)


def mean_over_pairs(blocks: Iterator[Tensor], n: int, m: int, diagonal: float | None = None) -> float:
    """Mean of an `(n, m)` matrix given in blocks of rows; with `diagonal`, of its off-diagonal elements (and n = m)."""
    total = sum((block.sum() for block in blocks), torch.zeros((), dtype=torch.float64))
    if diagonal is None:
        return float(total) / (n * m)
    return (float(total) - n * diagonal) / (n * (n - 1))
