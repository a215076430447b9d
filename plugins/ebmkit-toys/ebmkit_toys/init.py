"""A jittered grid as p_0: starts that cover the plane evenly."""

import math
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Generator, Tensor

from ebmkit import InitDistribution, UsageError, check


@dataclass(frozen=True)
class Stratified(InitDistribution):
    """Chains start at a jittered grid: each of n points in the plane has its own cell of [low, high]².

    The box is divided into m² equal cells, where m² is the smallest square that is not below n. Each point is uniform
    in its cell; the cells are n of the m², drawn without replacement, in random order. So the marginal of every point
    is uniform on the box, as with `uniform`, but together they cover it evenly.

    Source: textbook, as stratified or jittered sampling; for rendering, Cook, ACM Transactions on Graphics 5 (1986).

    Args:
        low: Lower end of the box, for both coordinates.
        high: Upper end of the box, for both coordinates.

    Raises:
        UsageError: unless `low < high`, both finite, or if the examples are not points in the plane.
    """

    shape: tuple[int, ...]
    _: KW_ONLY
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.shape != (2,):
            raise UsageError(f"shape must be (2,), for points in the plane, not {self.shape}")
        check("low", self.low)
        check("high", self.high, above=self.low)

    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` starts `(n, 2)`, on the device of `rng`."""
        side = math.ceil(math.sqrt(n))
        cells = torch.randperm(side**2, generator=rng, device=rng.device)[:n]
        corners = torch.stack([cells % max(1, side), cells // max(1, side)], dim=1)
        within = torch.rand(n, 2, generator=rng, device=rng.device)
        return self.low + (self.high - self.low) * (corners + within) / max(1, side)
