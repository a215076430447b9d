"""What a law is, and the statistics that test it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from scipy import stats
from torch import Generator, Tensor


@dataclass(frozen=True)
class Law:
    """A theorem about draws, and how far the draws are from it.

    Attributes:
        name: What the law is about.
        statement: What must hold.
        z: Returns the deviation in standard errors; keyword arguments make a mutant of it.
        mutants: The keyword arguments of each mutant, by what it does wrong: its |z| must exceed 5.
    """

    name: str
    statement: str
    z: Callable[..., float]
    mutants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def mean_z(values: Tensor, expected: float | Tensor = 0.0) -> float:
    """The largest |z| of the means over the first axis, against the given ones."""
    values = values.double()
    error = values.std(0) / math.sqrt(len(values))
    return float(((values.mean(0) - expected) / error).abs().max())


def moments_z(x: Tensor, mean: Tensor | float, covariance: Tensor) -> float:
    """The largest |z| of all means and (co)variances of `x` `(n, d)`, against the given ones."""
    offset = x.double() - mean
    products = (offset.unsqueeze(2) * offset.unsqueeze(1)).flatten(1) - covariance.flatten()
    return mean_z(torch.cat([offset, products], dim=1))


def variance_z(x: Tensor, mean: float, variance: float) -> float:
    """The largest |z| of the mean and the variance of `x` `(n, 1)`, against the given ones."""
    return moments_z(x, mean, torch.tensor([[variance]], dtype=torch.float64))


def ks_z(x: Tensor, distribution: Tensor | Callable[[Any], Any]) -> float:
    """The z whose two-sided probability is the p-value of the Kolmogorov-Smirnov test.

    The distribution is given by its distribution function, or by a sample.
    """
    found = x.double().flatten().numpy()
    if isinstance(distribution, Tensor):
        p = stats.ks_2samp(found, distribution.double().flatten().numpy(), method="asymp").pvalue
    else:
        p = stats.ks_1samp(found, distribution, method="asymp").pvalue
    # For p-values below the smallest float, z cannot be computed.
    return float(stats.norm.isf(max(float(p), 1e-300) / 2))
