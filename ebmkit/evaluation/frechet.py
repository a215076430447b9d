"""The Fréchet distance between two normal distributions fitted to features."""

from typing import Self

import torch
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.rows import finite_rows

# With fewer rows per feature than this, the distance is mostly bias. The usual FID has 10,000 rows of 2048 features.
NEAR = 4


class MeanAndCovariance:
    """Mean and covariance of rows that arrive in chunks, in double precision.

    Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.

    Attributes:
        n: The number of rows so far.
        mean: Their mean, `(d,)`.
        scatter: Sum of `(x - mean)(x - mean)ᵀ`, `(d, d)`.
    """

    def __init__(self, d: int, device: torch.device | str = "cpu") -> None:
        self.n = 0
        self.mean = torch.zeros(d, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(d, d, dtype=torch.float64, device=device)

    @classmethod
    def of(cls, x: Tensor, name: str = "features") -> Self:
        """Mean and covariance of the rows `(n, d)`; `name` is what an error calls them.

        Raises:
            UsageError: if some are not finite.
        """
        x = finite_rows(name, x)
        found = cls(x.shape[1], x.device)
        found.n = len(x)
        found.mean = x.mean(0)
        centred = x - found.mean
        found.scatter = centred.T @ centred
        return found

    def update(self, x: Tensor) -> None:
        """Add more rows `(n, d)`."""
        self.merge(MeanAndCovariance.of(x))

    def merge(self, other: "MeanAndCovariance") -> None:
        """Add the rows of another."""
        n = self.n + other.n
        if not n:
            return
        step = other.mean - self.mean
        self.scatter = self.scatter + other.scatter + torch.outer(step, step) * (self.n * other.n / n)
        self.mean = self.mean + step * (other.n / n)
        self.n = n

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance, `(d, d)`.

        Raises:
            UsageError: if there are no more rows than features: the covariance would not be of full rank.
        """
        if too_few(self.n, len(self.mean)):
            raise UsageError(
                f"{self.n} rows are too few for the covariance of {len(self.mean)} features: "
                f"give at least {len(self.mean) + 1}, or use features of fewer dimensions"
            )
        return self.scatter / (self.n - 1)


def frechet_distance(real: Tensor | MeanAndCovariance, fake: Tensor | MeanAndCovariance) -> float:
    """`|m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½)` of features `(n, d)`, or of their means and covariances.

    The trace of the root is the sum of the roots of the eigenvalues of the symmetric `C₁^½ C₂ C₁^½`. The estimate is
    biased upwards by about 1/n, so only distances of the same n can be compared. It is called FID only with the
    features of the 2015 Inception network.

    Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, NeurIPS 2017, equation 6.

    Raises:
        UsageError: if there are fewer than d + 1 rows, some are not finite, or the two differ in d.
    """
    one = real if isinstance(real, MeanAndCovariance) else MeanAndCovariance.of(real, "real")
    two = fake if isinstance(fake, MeanAndCovariance) else MeanAndCovariance.of(fake, "fake")
    if one.mean.shape != two.mean.shape:
        raise UsageError(f"real has {len(one.mean)} features and fake {len(two.mean)}; expected the same number")
    values, vectors = torch.linalg.eigh(one.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = root @ two.covariance @ root
    shared = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    spread = one.covariance.trace() + two.covariance.trace() - 2 * shared
    # Between equal distributions, rounding can make the distance negative.
    return max(float((one.mean - two.mean).square().sum() + spread), 0.0)


def too_few(n: int, d: int) -> bool:
    """Whether `n` rows are too few for a covariance of full rank in `d` features."""
    return n < d + 1


def frechet_note(n: int, d: int) -> str:
    """The warning that belongs beside a Fréchet distance of `n` rows of `d` features; empty if there is none."""
    if n >= NEAR * d:
        return ""
    return f"n={n} is close to the number of features, {d}: strongly biased upwards; use n of at least {NEAR * d}"
