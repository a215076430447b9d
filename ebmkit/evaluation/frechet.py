"""The Fréchet distance between two normal laws fitted to features."""

from typing import Self

import torch
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.rows import rows

# With fewer rows than this for each feature the distance is mostly bias. Customary are 10,000 rows of 2048 features.
NEAR = 4


class Moments:
    """Mean and covariance of rows that come in pieces, in double precision.

    Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.

    Attributes:
        n: How many rows were seen.
        mean: Their mean, `(d,)`.
        scatter: Sum of `(x - mean)(x - mean)ᵀ`, `(d, d)`.
    """

    def __init__(self, d: int, device: torch.device | str = "cpu") -> None:
        self.n = 0
        self.mean = torch.zeros(d, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(d, d, dtype=torch.float64, device=device)

    @classmethod
    def of(cls, x: Tensor, name: str = "features") -> Self:
        """The moments of the rows `(n, d)`; `name` is what a message calls them.

        Raises:
            UsageError: if some are not finite.
        """
        x = rows(name, x)
        moments = cls(x.shape[1], x.device)
        moments.n = len(x)
        moments.mean = x.mean(0)
        centred = x - moments.mean
        moments.scatter = centred.T @ centred
        return moments

    def update(self, x: Tensor) -> None:
        """Take in more rows `(n, d)`."""
        self.merge(Moments.of(x))

    def merge(self, other: "Moments") -> None:
        """Take in what another has seen."""
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
            UsageError: if no more rows than features were seen: it would not be of full rank.
        """
        if too_few(self.n, len(self.mean)):
            raise UsageError(
                f"{self.n} rows are too few for the covariance of {len(self.mean)} features: "
                f"give at least {len(self.mean) + 1}, or features of fewer numbers"
            )
        return self.scatter / (self.n - 1)


def frechet_distance(real: Tensor | Moments, fake: Tensor | Moments) -> float:
    """`|m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½)` of features `(n, d)`, or of their moments.

    The trace of the root is the sum of the roots of the eigenvalues of the symmetric `C₁^½ C₂ C₁^½`. It is biased
    upwards by about 1/n, so that only distances of the same n can be compared. It is called FID with the features of
    the 2015 Inception network only.

    Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, NeurIPS 2017, equation 6.

    Raises:
        UsageError: if there are fewer than d + 1 rows, some are not finite, or the two are not of one width.
    """
    one = real if isinstance(real, Moments) else Moments.of(real, "real")
    two = fake if isinstance(fake, Moments) else Moments.of(fake, "fake")
    if one.mean.shape != two.mean.shape:
        raise UsageError(f"real has {len(one.mean)} features and fake {len(two.mean)}: expected the same")
    values, vectors = torch.linalg.eigh(one.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = root @ two.covariance @ root
    shared = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    spread = one.covariance.trace() + two.covariance.trace() - 2 * shared
    # Rounding alone can bring the distance of equal laws below nothing.
    return max(float((one.mean - two.mean).square().sum() + spread), 0.0)


def too_few(n: int, d: int) -> bool:
    """Whether `n` rows have no covariance of full rank in `d` features."""
    return n < d + 1


def frechet_note(n: int, d: int) -> str:
    """What must be said beside a Fréchet distance of `n` rows of `d` features; empty where nothing must."""
    if n >= NEAR * d:
        return ""
    return f"n={n} is near the number of features, {d}: strongly biased upwards; take n of at least {NEAR * d}"
