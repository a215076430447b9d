"""Gaussian noise as p_0."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Generator, Tensor

from ebmkit.errors import check
from ebmkit.interfaces import InitDistribution


@dataclass(frozen=True)
class Gaussian(InitDistribution):
    """Chains start at Gaussian noise: each element of x is `N(mean, scale²)`, independently.

    Source: one of the init distributions compared by Nijkamp, Hill, Han, Zhu, Wu, AAAI 2020.

    Args:
        mean: Mean of every element.
        scale: Standard deviation of every element.

    Raises:
        UsageError: if a setting is outside its range.
    """

    shape: tuple[int, ...]
    _: KW_ONLY
    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        check("mean", self.mean)
        check("scale", self.scale, above=0)

    @property
    def centre(self) -> float:
        """The mean of every element."""
        return self.mean

    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` draws, `(n, *shape)`."""
        return self.mean + self.scale * torch.randn(
            n, *self.shape, generator=rng, dtype=torch.float32, device=rng.device
        )
