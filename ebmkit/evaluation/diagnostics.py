"""Diagnostics of Markov chains: autocorrelation, effective sample size, split R-hat.

`x` is `(steps, chains)`, or `(steps, chains, *shape)` for one value per element: `torch.stack` the `state.x` of a
chain. Everything is computed and returned in double precision. The diagnostics of a quantity that does not vary, or
that is not finite, are NaN.
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.rows import doubles

# Each half of a chain of four steps has two: the fewest that have a variance.
SHORTEST = 4


def autocorrelation(x: Tensor) -> Tensor:
    """Autocorrelation of each chain at the lags 0 to steps - 1, in the shape of `x`.

    It is `ρ(t) = c(t) / c(0)` with `c(t) = Σᵢ (xᵢ - x̄)(xᵢ₊ₜ - x̄) / steps`.

    Raises:
        UsageError: if there are fewer than 4 steps, or no axis of chains.
    """
    x = _checked(x)
    covariance = _autocovariance(x)
    return torch.where(_varies(x, 0), covariance / covariance[0], math.nan)


def effective_sample_size(x: Tensor) -> Tensor:
    """The number of independent draws that estimate the mean of `x` as precisely as all chains together, `(*shape)`.

    It is `n / (1 + 2 Σ ρ(t))` for n draws in total, with each chain split into halves, ρ pooled over the chains, and
    the sum truncated by Geyer's initial monotone sequence. Negative autocorrelation can make it larger than n, at most
    `n log10(n)`. The standard error of the mean is `sqrt(variance / effective_sample_size)`.

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 2021, section 3.2; Geyer, 1992.

    Raises:
        UsageError: if there are fewer than 4 steps, or no axis of chains.
    """
    x = _checked(x)
    halves = _split(x)
    steps, chains = halves.shape[:2]
    covariance = _autocovariance(halves).mean(1)
    within = covariance[0] * steps / (steps - 1)
    total = covariance[0] + halves.mean(0).var(0)
    correlation = 1 - (within - covariance) / total
    correlation[0] = 1
    even, odd = correlation[:-1:2], correlation[1::2]
    positive = (even + odd > 0).cumprod(0)
    pairs = (even + odd).cummin(0).values * positive
    # Stan also counts the even half of the first pair that is cut, which matters for negative autocorrelation.
    edge = even.clamp(min=0) * torch.diff(positive, dim=0, prepend=torch.ones_like(positive[:1])).abs()
    draws = steps * chains
    time = (2 * pairs.sum(0) - 1 + edge.sum(0)).clamp(min=1 / math.log10(draws))
    return torch.where(_varies(x, (0, 1)), draws / time, math.nan)


def split_rhat(x: Tensor) -> Tensor:
    """Whether the chains of `x` sample one distribution: near 1 if they do, above 1.01 if not; `(*shape)`.

    It is `sqrt(pooled variance / variance within a chain)` of rank-normalised halves of chains: the larger of the
    value for `x`, which is sensitive to location, and the value for `|x - median|`, which is sensitive to scale.

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 2021, section 4.

    Raises:
        UsageError: if there are fewer than 4 steps, or no axis of chains.
    """
    x = _checked(x)
    halves = _split(x)
    ordered = halves.flatten(0, 1).sort(0).values
    # The mean of the two middle values: torch's median is the lower one.
    median = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    folded = (halves - median).abs()
    worse = torch.maximum(_rhat(_normal_ranks(halves)), _rhat(_normal_ranks(folded)))
    return torch.where(_varies(x, (0, 1)), worse, math.nan)


class Convergence(NamedTuple):
    """The worst values over all elements: the largest split R-hat and the smallest effective sample size."""

    rhat: float
    ess: float


def convergence(x: Tensor) -> Convergence:
    """Split R-hat and effective sample size of chains `(steps, chains, *shape)`; NaN if an element does not vary.

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 2021.

    Raises:
        UsageError: if there are fewer than 4 steps, or no axis of chains.
    """
    return Convergence(float(split_rhat(x).max()), float(effective_sample_size(x).min()))


def _checked(x: Tensor) -> Tensor:
    if x.ndim < 2 or not x.numel():
        raise UsageError(f"x must be of shape (steps, chains, *shape), not {tuple(x.shape)}")
    if len(x) < SHORTEST:
        raise UsageError(f"x must have at least {SHORTEST} steps, not {len(x)}")
    return doubles(x)


def _varies(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    return (x.amax(dims) > x.amin(dims)) & x.isfinite().all(dims)


def _split(x: Tensor) -> Tensor:
    """Halves of chains as chains; of an odd number of steps the middle one is omitted."""
    half = len(x) // 2
    return rearrange(torch.stack([x[:half], x[-half:]]), "half steps chains ... -> steps (half chains) ...")


def _autocovariance(x: Tensor) -> Tensor:
    """Autocovariance by FFT; the zero padding prevents the end of a chain from wrapping around to its beginning."""
    steps = len(x)
    spectrum = torch.fft.rfft(x - x.mean(0), n=2 * steps, dim=0)
    covariance: Tensor = torch.fft.irfft(spectrum.abs().square(), n=2 * steps, dim=0)[:steps] / steps
    return covariance


def _normal_ranks(x: Tensor) -> Tensor:
    """Normal quantiles of the ranks among all steps and chains; ties get their mean rank."""
    steps = len(x)
    values = rearrange(x, "steps chains ... -> ... (steps chains)").contiguous()
    ordered = values.sort(-1).values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    rank = (below + up_to + 1).double() / 2
    normal: Tensor = torch.special.ndtri((rank - 0.375) / (values.shape[-1] + 0.25))
    return rearrange(normal, "... (steps chains) -> steps chains ...", steps=steps)


def _rhat(x: Tensor) -> Tensor:
    steps, within, between = len(x), x.var(0).mean(0), x.mean(0).var(0)
    return torch.sqrt((steps - 1) / steps + between / within)
