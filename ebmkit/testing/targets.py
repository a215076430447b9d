"""Densities that samplers are tested on: energies with exact draws, at the scale that tests a sampler hardest."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import Sampler

D = torch.float64
ROOT = torch.tensor([[1.0, 0.0], [0.6, 0.5]], dtype=D)  # of the covariance of `gaussian`
MEAN = torch.tensor([0.5, -1.0], dtype=D)
MODES = torch.tensor([[-1.2, 0.3], [1.0, -0.2]], dtype=D)  # of `mixture`, each of unit variance
IMAGES = torch.tensor([[-1.0, 0.3, 0.6, -0.5], [0.8, -0.4, -0.5, 0.7]], dtype=D).view(2, 1, 2, 2)
WALL = 1.0  # where `walled` ends in its first element


@dataclass(frozen=True)
class Target:
    """A density with exact draws, of examples of d elements.

    Attributes:
        energy: E `(n, *shape) -> (n,)`, for which the density is exp(-E).
        draw: Independent draws `(n, *shape)` in double precision.
        mean: Its mean `(d,)`.
        covariance: Its covariance `(d, d)`.
    """

    energy: Callable[[Tensor], Tensor]
    draw: Callable[[int, Generator], Tensor]
    mean: Tensor
    covariance: Tensor

    def scaled(self, scale: float, temperature: float) -> "Target":
        """The density of `scale * x`, as the energy E whose exp(-E / temperature) it is."""
        return Target(
            lambda x: temperature * self.energy(x / scale),
            lambda n, rng: scale * self.draw(n, rng),
            scale * self.mean,
            scale**2 * self.covariance,
        )


def normals(n: int, rng: Generator) -> Tensor:
    """Standard normal draws `(n, 2)`."""
    return torch.randn(n, 2, generator=rng, dtype=D, device=rng.device)


def quadratic(x: Tensor) -> Tensor:
    """|x|² / 2 of examples of any shape and dtype, `(B,)`."""
    return x.square().flatten(1).sum(1) / 2


def gaussian() -> Target:
    """A Gaussian of two correlated elements whose mean is not 0."""
    precision = torch.linalg.inv(ROOT @ ROOT.T)
    return Target(
        lambda x: ((x - MEAN) @ precision * (x - MEAN)).sum(1) / 2,
        lambda n, rng: MEAN + normals(n, rng) @ ROOT.T,
        MEAN,
        ROOT @ ROOT.T,
    )


def mixture(modes: Tensor = MODES) -> Target:
    """Two equally likely Gaussians that overlap, around `modes` `(2, *shape)`."""

    def draw(n: int, rng: Generator) -> Tensor:
        x = modes[torch.randint(2, (n,), generator=rng)]
        return x + torch.randn(x.shape, generator=rng, dtype=D)

    flat = modes.flatten(1)
    mean = flat.mean(0)
    return Target(
        lambda x: -torch.logsumexp(-(x.unsqueeze(1) - modes).square().flatten(2).sum(2) / 2, 1),
        draw,
        mean,
        torch.eye(len(mean), dtype=D) + (flat - mean).T @ (flat - mean) / 2,
    )


def images() -> Target:
    """A mixture of images `(1, 2, 2)`, for faults that show only with several axes or more than two elements."""
    return mixture(IMAGES)


def infinite(x: Tensor) -> Tensor:
    """The energy of a standard Gaussian before the wall, infinite behind it, where its gradient is 0."""
    return torch.where(x[:, 0] < WALL, quadratic(x), math.inf)


def undefined(x: Tensor) -> Tensor:
    """Like `infinite`, but NaN behind the wall; the gradient there is 0."""
    return torch.where(x[:, 0] < WALL, quadratic(x), math.nan)


def undefined_with_its_gradient(x: Tensor) -> Tensor:
    """Like `undefined`, but with a NaN gradient behind the wall too, from the root of a negative number."""
    return quadratic(x) + 0 * (WALL - x[:, 0]).sqrt()


def walled(energy: Callable[[Tensor], Tensor]) -> Target:
    """A standard Gaussian whose first element is truncated at `WALL`, with one of the three energies above."""

    def draw(n: int, rng: Generator) -> Tensor:
        # 84 % of the normal draws are before the wall.
        x = normals(2 * n, rng)
        return x[x[:, 0] < WALL][:n]

    density = math.exp(-(WALL**2) / 2) / math.sqrt(2 * math.pi)
    mean = -density / ((1 + math.erf(WALL / math.sqrt(2))) / 2)
    variance = 1 + WALL * mean - mean**2
    return Target(
        energy, draw, torch.tensor([mean, 0.0], dtype=D), torch.tensor([[variance, 0.0], [0.0, 1.0]], dtype=D)
    )


def hard_scale(sampler: Sampler, temperature: float) -> float:
    """The scale of `gaussian` at which this sampler rejects about a third, or moves by about one if it never rejects.

    On a much wider density every proposal is accepted, on a much narrower one none is: both would hide errors.
    """
    found = {exponent: _moves(sampler, temperature, 2.0**exponent) for exponent in range(-60, 61, 4)}
    best = _hardest(found)
    near = (exponent for exponent in range(best - 3, best + 4) if exponent not in found)
    found |= {exponent: _moves(sampler, temperature, 2.0**exponent) for exponent in near}
    return 2.0 ** _hardest(found)


def _moves(sampler: Sampler, temperature: float, scale: float) -> tuple[float, float]:
    """The fraction of examples that a step moves on `gaussian` at this scale, and how far, in units of the scale."""
    target = gaussian().scaled(scale, temperature)
    rng = Generator().manual_seed(0)
    x = target.draw(400, rng)
    moved, distance = [], 0.0
    for state in islice(sampler.chain(target.energy, x, rng), 3):
        moved.append(float((state.x != x).any(1).double().mean()))
        distance = float((state.x - x).double().norm(dim=1).nan_to_num(nan=0.0, posinf=0.0).mean()) / scale
        x = state.x
    return sum(moved) / len(moved), distance


def _hardest(found: dict[int, tuple[float, float]]) -> int:
    """The exponent at which about two thirds moved, by more than rounding; without one, where a step is about one."""
    rejecting = {
        exponent: abs(moved - 0.65)
        for exponent, (moved, distance) in found.items()
        if 0.3 < moved < 0.97 and distance > 1e-3
    }
    if rejecting:
        return min(rejecting, key=lambda exponent: rejecting[exponent])
    return min(found, key=lambda exponent: abs(math.log(found[exponent][1] or math.inf)))
