"""Uniform noise as p_0, as in the paper."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Generator, Tensor

from ebmkit.errors import check
from ebmkit.interfaces import InitDistribution


@dataclass(frozen=True)
class Uniform(InitDistribution):
    """Chains start at uniform noise: each element of x is `U(low, high)`, independently.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019; the range is that of the data, [-1, 1].

    Args:
        low: Lower end of the range.
        high: Upper end of the range.

    Raises:
        UsageError: unless `low < high`, both finite.
    """

    shape: tuple[int, ...]
    _: KW_ONLY
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check("low", self.low)
        check("high", self.high, above=self.low)

    @property
    def centre(self) -> float:
        """The middle of the range."""
        return (self.low + self.high) / 2

    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` draws, `(n, *shape)`."""
        x = torch.rand(n, *self.shape, generator=rng, dtype=torch.float32, device=rng.device)
        return self.low + (self.high - self.low) * x
