"""Laws of the starts of chains: uniform and Gaussian noise, and draws from a replay buffer."""

import math
from functools import partial
from typing import Any

import torch
from scipy import stats
from torch import Generator, Tensor

from ebmkit.inits.gaussian import Gaussian
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import InitDistribution
from laws.law import Law, ks_z, mean_z, moments_z, rng

N, SIZE, BATCH, DRAWS = 20_000, 200, 100, 1000


class Births(InitDistribution):
    """Starts that are numbered in the order of their creation: 0, 1, 2, ..."""

    def __init__(self) -> None:
        self.born = 0

    def sample(self, n: int, rng: Generator) -> Tensor:
        self.born += n
        return torch.arange(self.born - n, self.born, dtype=torch.float32).unsqueeze(1)


class FixedShare(ReplayBuffer):
    """Restarts the same number of chains in every draw."""

    def sample(self, n: int, rng: Generator) -> Tensor:
        x = ReplayBuffer.sample(self, n, rng)
        count = round(self.share * n)
        x[:count] = self.noise_distribution().sample(count, rng)
        return x

    def __post_init__(self) -> None:
        self.share, self.restart = self.restart, 0.0


class AllOrNone(ReplayBuffer):
    """Restarts all chains of a draw, or none."""

    def sample(self, n: int, rng: Generator) -> Tensor:
        x = ReplayBuffer.sample(self, n, rng)
        return self.noise_distribution().sample(n, rng) if torch.rand((), generator=rng) < self.share else x

    def __post_init__(self) -> None:
        self.share, self.restart = self.restart, 0.0


class Uneven(ReplayBuffer):
    """Draws early slots more often than late ones."""

    def sample(self, n: int, rng: Generator) -> Tensor:
        ReplayBuffer.sample(self, n, rng)
        assert self._bank is not None
        weights = torch.linspace(1.5, 0.5, self.size)
        self._slots = torch.multinomial(weights, n, generator=rng)
        return self._bank[self._slots]


class WrongSlots(ReplayBuffer):
    """Writes chains back to the slot next to their own."""

    def remember(self, x: Tensor) -> None:
        super().remember(x.roll(1, 0))


def noise(name: str, low: float, high: float, /, **wrong: Any) -> float:
    """Means, covariances and distribution of uniform noise in a range, or of Gaussian noise of that mean and scale."""
    if name == "uniform":
        init: InitDistribution = Uniform((3,), **{"low": low, "high": high, **wrong})
        mean, variance, distribution = (low + high) / 2, (high - low) ** 2 / 12, stats.uniform(low, high - low)
    else:
        init = Gaussian((3,), **{"mean": low, "scale": high, **wrong})
        mean, variance, distribution = low, high**2, stats.norm(low, high)
    x = init.sample(N, rng(int(50 + 10 * high)))
    neighbours = (x[1:] - mean) * (x[:-1] - mean)
    eye = torch.eye(3, dtype=torch.float64)
    return max(moments_z(x, mean, variance * eye), mean_z(neighbours), ks_z(x, distribution.cdf))


def restarts(restart: float, *, kind: type[ReplayBuffer] = ReplayBuffer, real: float | None = None) -> float:
    """The number of new chains in a draw, against Binomial(batch, restart): its mean and its variance."""
    replay = kind((1,), size=SIZE, restart=restart if real is None else real, base=Births())
    generator = rng(52)
    counts = torch.stack([(replay.sample(BATCH, generator) >= SIZE).sum() for _ in range(DRAWS)]).double()
    mean, variance = BATCH * restart, BATCH * restart * (1 - restart)
    kurtosis = 3 + (1 - 6 * restart * (1 - restart)) / variance
    z = (counts.mean() - mean) / math.sqrt(variance / DRAWS)
    spread = ((counts - mean).square().mean() / variance - 1) / math.sqrt((kurtosis - 1) / DRAWS)
    return float(torch.maximum(z.abs(), spread.abs()))


def slots(*, kind: type[ReplayBuffer] = ReplayBuffer) -> float:
    """How often each slot, and each pair of slots, is drawn, against draws without replacement."""
    replay, generator = kind((1,), size=10, restart=0.0, base=Births()), rng(53)
    drawn = torch.stack([replay.sample(4, generator).flatten().long() for _ in range(5 * DRAWS)])
    there = torch.nn.functional.one_hot(drawn, 10).sum(1).double()
    pairs = there[:, :-1] * there[:, 1:]
    return max(mean_z(there, 4 / 10), mean_z(pairs, 4 * 3 / (10 * 9)))


def lineages(*, kind: type[ReplayBuffer] = ReplayBuffer, restart: float = 0.0) -> float:
    """The number of chains that do not move and are not in their slots after 200 draws: exactly 0."""
    replay, generator = kind((1,), size=SIZE, restart=restart, base=Births()), rng(54)
    for _ in range(200):
        replay.remember(replay.sample(BATCH, generator))
    return float((replay.state_dict()["bank"].flatten() != torch.arange(SIZE)).sum())


LAWS = [
    *(
        Law(
            f"uniform starts on [{low:g}, {high:g}]",
            "means, covariances, neighbours and distribution (Kolmogorov-Smirnov test)",
            partial(noise, "uniform", low, high),
            {"range 5 % too wide": {"high": high + 0.05 * (high - low)}, "lower end moved": {"low": low - 0.05}},
        )
        for low, high in [(-1.0, 1.0), (0.0, 0.5)]
    ),
    *(
        Law(
            f"Gaussian starts, mean {mean:g}, scale {scale:g}",
            "means, covariances, neighbours and distribution (Kolmogorov-Smirnov test)",
            partial(noise, "gaussian", mean, scale),
            {"scale 5 % too large": {"scale": 1.05 * scale}, "mean moved": {"mean": mean + 0.05 * scale}},
        )
        for mean, scale in [(0.0, 1.0), (0.5, 0.2)]
    ),
    *(
        Law(
            f"replay, restarts with probability {restart:g}",
            "the number of new chains in a draw is Binomial(B, p)",
            partial(restarts, restart),
            {
                "p 10 % too large": {"real": 1.1 * restart},
                "a fixed share": {"kind": FixedShare},
                "all or none": {"kind": AllOrNone},
            },
        )
        for restart in (0.05, 0.5)
    ),
    Law(
        "replay, slots",
        "slots are drawn uniformly and without replacement",
        slots,
        {"early slots more often": {"kind": Uneven}},
    ),
    Law(
        "replay, lineages",
        "chains that do not move stay in their slots (a count; exactly 0)",
        lineages,
        {"restarts of 1 %": {"restart": 0.01}, "written back to the wrong slot": {"kind": WrongSlots}},
    ),
]
