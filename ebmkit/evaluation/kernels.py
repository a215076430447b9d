"""Distances between distributions, estimated from pairs of examples; all unbiased, so they can be negative."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError, check
from ebmkit.evaluation.rows import CHUNK, mean_over_pairs, pair, squared_distances

# The median distance is estimated from at most this many examples: its precision is enough for a kernel width.
MEDIAN_OF = 1000


class Estimate(NamedTuple):
    """A mean and its standard error."""

    value: float
    error: float


def kernel_distance(real: Tensor, fake: Tensor, rng: Generator, *, subsets: int = 10) -> Estimate:
    """The squared MMD of features `(n, d)` for the kernel `(a·b / d + 1)³`: 0 on average for equal distributions.

    Both sets are shuffled and cut into the same number of disjoint subsets. These are independent, so the mean of their
    unbiased estimates has a valid standard error, unlike that of subsets that share rows. Its expectation does not
    depend on n. It is called KID only with the features of the 2015 Inception network.

    Source: Bińkowski, Sutherland, Arbel, Gretton, ICLR 2018, section 4.

    Args:
        real: Features of real examples.
        fake: Features of samples; their number may differ.
        rng: A generator on the CPU that shuffles the rows.
        subsets: How many subsets the rows are cut into.

    Raises:
        UsageError: if there are fewer than two rows per subset, or some are not finite.
    """
    check("subsets", subsets, at_least=2)
    real, fake = pair(real, fake, at_least=2 * subsets)
    parts = [x[torch.randperm(len(x), generator=rng).to(x.device)].tensor_split(subsets) for x in (real, fake)]
    found = torch.tensor([_polynomial(a, b) for a, b in zip(*parts, strict=True)], dtype=torch.float64)
    return Estimate(float(found.mean()), float(found.std()) / math.sqrt(subsets))


def mmd(real: Tensor, fake: Tensor) -> float:
    """The squared MMD of examples `(n, *shape)` for the kernel `exp(-|a - b|² / (2 s²))`, unbiased.

    The width s is the median distance between real examples, so it is the same for everything compared with them.

    Source: Gretton, Borgwardt, Rasch, Schölkopf, Smola, JMLR 2012, equation 3.

    Raises:
        UsageError: if there are fewer than two, some are not finite, or most real examples are the same.
    """
    real, fake = pair(real, fake, at_least=2)
    some = real[:: math.ceil(len(real) / MEDIAN_OF)]
    apart = torch.ones(len(some), len(some), dtype=torch.bool, device=some.device).tril(-1)
    width = float(torch.cat(list(squared_distances(some, some)))[apart].median())
    if width == 0:
        raise UsageError("more than half of the real examples are the same: expected examples that differ")

    def kernel(a: Tensor, b: Tensor, diagonal: float | None = None) -> float:
        blocks = (torch.exp(-squared / (2 * width)) for squared in squared_distances(a, b))
        return mean_over_pairs(blocks, len(a), len(b), diagonal)

    return kernel(real, real, 1.0) + kernel(fake, fake, 1.0) - 2 * kernel(real, fake)


def energy_distance(real: Tensor, fake: Tensor) -> float:
    """`2 E|X - Y| - E|X - X'| - E|Y - Y'|` of examples `(n, *shape)`, unbiased.

    Source: Székely, Rizzo, "Energy statistics", J. Statistical Planning and Inference 2013, equation 5.

    Raises:
        UsageError: if there are fewer than two, or some are not finite.
    """
    real, fake = pair(real, fake, at_least=2)
    return 2 * mean_distance(real, fake) - mean_distance(real, real, 0.0) - mean_distance(fake, fake, 0.0)


def diversity(real: Tensor, fake: Tensor) -> float:
    """Mean distance between two samples over that between two real examples `(n, *shape)`: 1 is as diverse as the data.

    Raises:
        UsageError: if there are fewer than two, some are not finite, or all real examples are the same.
    """
    real, fake = pair(real, fake, at_least=2)
    unit = mean_distance(real, real, 0.0)
    if unit == 0:
        raise UsageError("all real examples are the same: expected examples that differ")
    return mean_distance(fake, fake, 0.0) / unit


def mean_distance(a: Tensor, b: Tensor, diagonal: float | None = None) -> float:
    """Mean of `|aᵢ - bⱼ|` over rows; with a diagonal, over pairs of different rows only."""
    return mean_over_pairs((squared.sqrt() for squared in squared_distances(a, b)), len(a), len(b), diagonal)


def _polynomial(real: Tensor, fake: Tensor) -> float:
    """The unbiased estimate of one subset."""
    d = real.shape[1]

    def blocks(a: Tensor, b: Tensor) -> Iterator[Tensor]:
        for block in a.split(CHUNK):  # type: ignore[no-untyped-call]
            yield (block @ b.T / d + 1) ** 3

    def within(a: Tensor) -> float:
        own = float(((a.square().sum(1) / d + 1) ** 3).mean())
        return mean_over_pairs(blocks(a, a), len(a), len(a), own)

    return within(real) + within(fake) - 2 * mean_over_pairs(blocks(real, fake), len(real), len(fake))
