"""The examples that a start is fitted to, read in batches and in float64."""

import math
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Generator, Tensor

from ebmkit.inits.data import Source

# The most elements that are read at once: 32 MB in float64.
ELEMENTS = 2**22


class ChosenExamples:
    """Examples of the data in a fixed order: all of them, or a fixed random choice of `limit`.

    They are read again at each pass, so that memory does not grow with the data.

    Args:
        data: What is read.
        shape: The shape of one example.
        limit: The most examples that are read; None reads all.
    """

    def __init__(self, data: Source, shape: tuple[int, ...], limit: int | None) -> None:
        self.data, self.shape = data, shape
        indices = torch.randperm(len(data), generator=Generator().manual_seed(0))[:limit]
        self.indices = indices.sort().values  # files are read faster in their order

    def __len__(self) -> int:
        """How many examples are read."""
        return len(self.indices)

    @property
    def degrees_of_freedom(self) -> int:
        """The divisor of sums of squared deviations: n - 1, or 1 for one example, whose deviation is 0."""
        return max(len(self) - 1, 1)

    @cached_property
    def mean(self) -> Tensor:
        """Their mean, `(*shape)`."""
        total = torch.zeros(self.shape, dtype=torch.float64)
        for batch in self.batches():
            total += batch.sum(0)
        return total / len(self)

    def batches(self) -> Iterator[Tensor]:
        """Each of them once, as batches `(n, *shape)`.

        Raises:
            ValueError: if they have another shape.
        """
        for indices in torch.split(self.indices, max(1, ELEMENTS // math.prod(self.shape))):
            batch = self.data.fetch(indices)
            if batch.shape[1:] != self.shape:
                raise ValueError(
                    f"the data are of examples {tuple(batch.shape[1:])}, but starts of shape {self.shape} are fitted"
                )
            yield batch.double()

    def deviations(self) -> Iterator[Tensor]:
        """Their deviations from the mean, as batches `(n, *shape)`."""
        return (batch - self.mean for batch in self.batches())
