"""Gaussian data, whose energies, posteriors and chains are known in closed form at every noise level."""

import torch
from ebmkit_recovery.levels import Levels, levels_of
from ebmkit_recovery.network import LevelNetwork
from torch import Generator, Tensor, nn

D = torch.float64
MEAN = torch.tensor([0.6, -0.3], dtype=D)
COVARIANCE = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=D)
STRENGTH = 7.0


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=D)


def examples(n: int, seed: int = 0) -> Tensor:
    """Draws from N(MEAN, COVARIANCE), `(n, 2)`."""
    return MEAN + normal(n, 2, seed=seed) @ torch.linalg.cholesky(COVARIANCE).T


def four_levels() -> Levels:
    """Four levels, less far apart than those of the paper."""
    return levels_of(0.995, torch.tensor([0.95, 0.9, 0.8, 0.3], dtype=D))


def marginal(levels: Levels, level: int) -> tuple[Tensor, Tensor]:
    """Mean `(2,)` and covariance `(2, 2)` of y = scale x_t."""
    kept, spread, scale = levels.kept[level], levels.spread[level], levels.scale[level]
    covariance = kept**2 * COVARIANCE + spread**2 * torch.eye(2, dtype=D)
    return scale * kept * MEAN, scale**2 * covariance


def worst_z(values: Tensor) -> float:
    """The largest |z| of the means over the first axis, against 0."""
    return float((values.mean(0) / (values.std(0) / len(values) ** 0.5)).abs().max())


def moments_z(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """The largest |z| among all means and (co)variances of `x` `(n, d)`, against the given ones."""
    offset = x - mean
    products = (offset.unsqueeze(2) * offset.unsqueeze(1)).flatten(1) - covariance.flatten()
    return worst_z(torch.cat([offset, products], 1))


class Exact(LevelNetwork):
    """f of the energies -log p(y) of the data of this module at each level, up to a constant; moved by a mutant.

    Args:
        levels: The noise levels.
        moved: Added to the means.
        wider: The factor of the variances.
    """

    def __init__(self, levels: Levels, moved: float = 0.0, wider: float = 1.0) -> None:
        super().__init__()
        found = [marginal(levels, level) for level in range(levels.count)]
        self.means = nn.Parameter(torch.stack([mean for mean, _ in found]) + moved)
        self.precisions = nn.Parameter(torch.stack([covariance.inverse() for _, covariance in found]) / wider)
        self.register_buffer("units", levels.length.square() / STRENGTH)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        level = torch.zeros(len(x), dtype=torch.long) if level is None else level
        offset = x - self.means[level]
        squares = (offset.unsqueeze(1) @ self.precisions[level] @ offset.unsqueeze(2)).flatten(1)
        return -squares / 2 * self.units[level].unsqueeze(1)
