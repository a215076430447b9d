"""A Gaussian with the mean and covariance of the data as p_0."""

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from torch import Generator, Tensor

from ebmkit.errors import UsageError, check
from ebmkit.inits.chosen import ChosenExamples
from ebmkit.inits.covariances import Covariance, Fourier, Full, LowRank
from ebmkit.inits.data import Source
from ebmkit.inits.fitting import FittedInit

# Above this many elements `auto` makes no full matrix: its 4096² values are 64 MB, in each checkpoint too.
LARGEST_FULL = 4096


@dataclass(eq=False)
class FittedGaussian(FittedInit):
    """Chains start at draws of a Gaussian with the mean and covariance of the data.

    The starts are N(mean, scale * C + ridge * I), with C the covariance of the data in one of three forms. The
    distribution is fixed: it is fitted at the first use, and training does not change it. Chains do not persist. What
    was fitted is saved with the model, which therefore opens without its data.

    Source: Tipping & Bishop, 1999, for `low_rank`; Field, 1987, for `fourier`.

    Args:
        covariance: Form of C: full, all pairs of elements; low_rank, the leading principal components and the mean
            variance in all other directions; fourier, stationary, for images; auto, full up to 4,096 elements and
            low_rank above.
        rank: How many principal components low_rank keeps; no more than an example has elements.
        scale: Factor of C.
        ridge: Variance of the white noise that is added.
        limit: The most examples that are read, a fixed random choice; none reads all.

    Raises:
        UsageError: if a setting is outside its range, examples that are no images are to have a fourier covariance, or
            all starts would be the same.
    """

    shape: tuple[int, ...]
    data: Source
    _: KW_ONLY
    covariance: Literal["auto", "full", "low_rank", "fourier"] = "auto"
    rank: int = 256
    scale: float = 1.0
    ridge: float = 0.01
    limit: int | None = 10_000

    def __post_init__(self) -> None:
        check("rank", self.rank, at_least=1)
        check("scale", self.scale, at_least=0)
        check("ridge", self.ridge, at_least=0)
        if self.limit is not None:
            check("limit", self.limit, at_least=1)
        if self.covariance == "fourier" and len(self.shape) != 3:
            raise UsageError(
                f"covariance fourier is for images (channels, height, width), not for examples of shape {self.shape}: "
                "write -s init.covariance=low_rank"
            )

    @property
    def form(self) -> Covariance:
        """The form of C that `covariance` is for examples of this shape."""
        name = self.covariance
        if name == "auto":
            name = "full" if math.prod(self.shape) <= LARGEST_FULL else "low_rank"
        if name == "full":
            return Full(self.shape)
        return Fourier(self.shape) if name == "fourier" else LowRank(self.shape, self.rank)

    @property
    def centre(self) -> Tensor:
        """The mean of the data, `(*shape)`."""
        return self.state_dict()["mean"]

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the mean, and of what the form of the covariance draws with."""
        return {"mean": self.shape, **self.form.sizes}

    def fit(self) -> dict[str, Tensor]:
        """Mean and covariance of the data.

        Raises:
            UsageError: if all starts would be the same.
        """
        examples = ChosenExamples(self.data, self.shape, self.limit)
        found = self.form.fit(examples, self.scale, self.ridge)
        if not any(bool(value.any()) for value in found.values()):
            raise UsageError("ridge 0 makes all starts the same, as the data do not vary: write -s init.ridge=0.01")
        return {"mean": examples.mean, **found}

    def draw(self, fitted: Mapping[str, Tensor], n: int, rng: Generator) -> Tensor:
        """The mean, and a draw of the covariance."""
        return fitted["mean"] + self.form.draw(fitted, n, rng)
