"""Standard errors: how far a sample is from what it should be. A check fails beyond `LIMIT`."""

import math

from torch import Tensor

# Two-sided, a right part is beyond this once in 1.7 million tests; seeds are fixed, so it is so always or never.
LIMIT = 5.0


def z(values: Tensor, expected: float | Tensor) -> float:
    """The largest |z| of the means of `values` `(n, ...)` along its first axis, against those expected.

    A column without any spread has z = 0 where it is what was expected, and infinity elsewhere; so have values that
    are not finite.
    """
    if not bool(values.isfinite().all()):
        return math.inf
    offset = (values.double() - expected).flatten(1) if values.ndim > 1 else (values.double() - expected).unsqueeze(1)
    error = offset.std(0) / math.sqrt(len(offset))
    return float((offset.mean(0).abs() / error).nan_to_num(nan=0.0).max())


def moments_z(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """The largest |z| among all means and (co)variances of `x` `(n, d)`, against `(d,)` and `(d, d)`."""
    offset = x.double() - mean
    products = (offset.unsqueeze(2) * offset.unsqueeze(1) - covariance).flatten(1)
    return max(z(offset, 0.0), z(products, 0.0))
