"""Examples of the data as p_0: contrastive divergence."""

from dataclasses import KW_ONLY, dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from ebmkit.errors import check
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import InitDistribution, noise_like


class Source(Protocol):
    """What examples are fetched from, like `ebmkit.data.Examples`."""

    def __len__(self) -> int:
        """How many examples there are."""

    def fetch(self, indices: Tensor) -> Tensor:
        """The examples at `indices` `(n,)`: float32, `(n, *shape)`, on the CPU."""


@dataclass(frozen=True)
class DataInit(InitDistribution):
    """Chains start at examples of the data, drawn with replacement, plus Gaussian noise: contrastive divergence.

    The starts are `x + noise * N(0, I)`. They are drawn independently of the batch of the update.

    Source: Hinton, "Training products of experts by minimizing contrastive divergence", 2002.

    Args:
        noise: Standard deviation of the noise that is added to every element.

    Raises:
        UsageError: if a setting is outside its range.
    """

    data: Source
    _: KW_ONLY
    noise: float = 0.0

    def __post_init__(self) -> None:
        check("noise", self.noise, at_least=0)

    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` examples, `(n, *shape)`."""
        indices = torch.randint(len(self.data), (n,), generator=rng, device=rng.device)
        x = self.data.fetch(indices.cpu()).to(rng.device)
        return x + self.noise * noise_like(x, rng) if self.noise else x

    def noise_distribution(self) -> InitDistribution:
        """Uniform noise on [-1, 1]: examples are not noise."""
        return Uniform(tuple(self.data.fetch(torch.zeros(1, dtype=torch.long)).shape[1:]))
