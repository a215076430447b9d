"""z-tests: how many standard errors a mean is from its expected value. A check fails beyond `LIMIT`."""

import math

from torch import Tensor

# A correct part exceeds this, two-sided, in one of 1.7 million tests; seeds are fixed, so always or never.
LIMIT = 5.0


def z(values: Tensor, expected: float | Tensor) -> float:
    """The largest |z| of the means of `values` `(n, ...)` over the first axis, against the expected ones.

    Values that are not finite have an infinite z.
    """
    return float(each_z(values, expected).abs().max()) if bool(values.isfinite().all()) else math.inf


def each_z(values: Tensor, expected: float | Tensor) -> Tensor:
    """The z of the mean of each element of `values` `(n, ...)`, as one row.

    An element without spread has z = 0 if it equals its expected value, and infinity otherwise.
    """
    offset = (values.double() - expected).reshape(len(values), -1)
    error = offset.std(0) / math.sqrt(len(offset))
    return (offset.mean(0) / error).nan_to_num(nan=0.0)


def moments_z(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """The largest |z| among all means and (co)variances of `x` `(n, *shape)`, against `(d,)` and `(d, d)`."""
    offset = x.double().flatten(1) - mean
    products = (offset.unsqueeze(2) * offset.unsqueeze(1) - covariance).flatten(1)
    return max(z(offset, 0.0), z(products, 0.0))
