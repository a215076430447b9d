"""How much a set of chains knows: autocorrelation, effective sample size, and whether the chains agree.

`x` is `(steps, chains)`, or `(steps, chains, *shape)` for the answer of each element: `torch.stack` the `state.x` of a
chain. All is computed and given in double precision. A quantity that does not vary, or that is not finite, has no
answer: that is NaN.
"""

import math

import torch
from einops import rearrange
from torch import Tensor

from ebmkit.errors import UsageError

# Four steps leave two to each half of a chain: the fewest that have a variance.
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
    """How many independent draws know the mean of `x` as well as all its chains together, `(*shape)`.

    It is `n / (1 + 2 Σ ρ(t))` for n draws in all, with each chain split into halves, ρ joined over the chains, and
    the sum cut by Geyer's initial monotone sequence. Negative correlation can lift it above n, to `n log10(n)` at most.
    The standard error of a mean is `sqrt(variance / effective_sample_size)`.

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
    # Stan counts the even half of the first pair that is cut: it matters to chains of negative correlation.
    edge = even.clamp(min=0) * torch.diff(positive, dim=0, prepend=torch.ones_like(positive[:1])).abs()
    draws = steps * chains
    time = (2 * pairs.sum(0) - 1 + edge.sum(0)).clamp(min=1 / math.log10(draws))
    return torch.where(_varies(x, (0, 1)), draws / time, math.nan)


def split_rhat(x: Tensor) -> Tensor:
    """How far the chains of `x` are from one law: 1 where they agree, above 1.01 where they do not; `(*shape)`.

    It is `sqrt(pooled variance / variance within a chain)` over halves of chains, of the ranks of `x` made normal;
    the larger of that for `x`, which sees the place of a chain, and for `|x - median|`, which sees its scale.

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


def _checked(x: Tensor) -> Tensor:
    if x.ndim < 2 or not x.numel():
        raise UsageError(f"x must be of shape (steps, chains, *shape), not {tuple(x.shape)}")
    if len(x) < SHORTEST:
        raise UsageError(f"x must have at least {SHORTEST} steps, not {len(x)}")
    return x.detach().double()


def _varies(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    return (x.amax(dims) > x.amin(dims)) & x.isfinite().all(dims)


def _split(x: Tensor) -> Tensor:
    """Halves of chains as chains; the middle step of an odd number is left out."""
    half = len(x) // 2
    return rearrange(torch.stack([x[:half], x[-half:]]), "half steps chains ... -> steps (half chains) ...")


def _autocovariance(x: Tensor) -> Tensor:
    """By the convolution theorem; the zeros behind the chain keep its end from meeting its beginning."""
    steps = len(x)
    spectrum = torch.fft.rfft(x - x.mean(0), n=2 * steps, dim=0)
    covariance: Tensor = torch.fft.irfft(spectrum.abs().square(), n=2 * steps, dim=0)[:steps] / steps
    return covariance


def _normal_ranks(x: Tensor) -> Tensor:
    """Ranks among all steps and chains, ties at their mean, sent through the normal law's quantiles."""
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
