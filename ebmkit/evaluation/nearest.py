"""Samples beside the data they were trained on: the nearest examples, and a linear reconstruction."""

from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import check


class NearestExamples(NamedTuple):
    """The nearest examples, nearest first: their `distance` and their `indices`, `(n, count)` each."""

    distance: Tensor
    indices: Tensor


def nearest_examples(x: Tensor, examples: Examples, *, count: int = 1, batch: int = 1024) -> NearestExamples:
    """The `count` examples nearest to each of `x` `(n, *shape)` in Euclidean distance; of equals, the first.

    Args:
        x: The queries, for instance samples, to see whether a model copies its data.
        examples: The data, all of which are searched.
        count: How many neighbours of each query are returned.
        batch: How many examples are in memory at once.

    Raises:
        UsageError: if there are fewer than `count` examples, or a number is below 1.
    """
    check("count", count, at_least=1, at_most=len(examples))
    check("batch", batch, at_least=1)
    search = NearestSearch(x, count)
    for chunk in torch.split(torch.arange(len(examples)), batch):
        search.add(chunk, examples.fetch(chunk))
    return search.found


class NearestSearch:
    """The nearest of examples that arrive in chunks; see `nearest_examples`.

    Args:
        x: The queries, `(n, *shape)`.
        count: How many neighbours of each query are kept.

    Attributes:
        found: The nearest of the examples so far.
    """

    def __init__(self, x: Tensor, count: int) -> None:
        self.query, self.count = x.detach().float().cpu().flatten(1), count
        self.found = NearestExamples(torch.empty(len(x), 0), torch.empty(len(x), 0, dtype=torch.long))

    def add(self, indices: Tensor, values: Tensor) -> None:
        """Search the examples at `indices` `(m,)`, whose values are `(m, *shape)`."""
        # The faster matrix product loses small distances to rounding, and the distance of a copy must be exactly 0.
        there = torch.cdist(self.query, values.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        distance, order = torch.cat([self.found.distance, there], dim=1).sort(dim=1, stable=True)
        index = torch.cat([self.found.indices, indices.expand(len(self.query), -1)], dim=1).gather(1, order)
        self.found = NearestExamples(distance[:, : self.count], index[:, : self.count])


def pca_reconstruction(x: Tensor, examples: Examples, *, components: int = 32, most: int = 4000) -> Tensor:
    """`x` `(n, *shape)` projected onto the first principal components of the data, in double precision.

    The method is randomised; it is seeded, and leaves the global random state as it was.

    Args:
        x: What to reconstruct.
        examples: The data; the components are those of the first `most` examples.
        components: How many components, at most one for each example and one for each element.
        most: How many examples are used.

    Raises:
        UsageError: if a number is below 1.
    """
    check("components", components, at_least=1)
    check("most", most, at_least=1)
    data = examples.fetch(torch.arange(min(most, len(examples)))).double().flatten(1)
    mean = data.mean(0)
    count = min(components, *data.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, _, axes = torch.pca_lowrank(data - mean, q=count, center=False, niter=4)
    offset = x.detach().cpu().double().flatten(1) - mean
    return (mean + offset @ axes @ axes.T).reshape(x.shape)
