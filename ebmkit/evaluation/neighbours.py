"""Precision and recall: how much of one set lies among the neighbours of the other."""

from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit.errors import check
from ebmkit.evaluation.rows import pair, squared_distances


class PrecisionRecall(NamedTuple):
    """The part of samples that look real, and the part of the data that samples reach; both in [0, 1]."""

    precision: float
    recall: float


def precision_recall(real: Tensor, fake: Tensor, *, neighbours: int = 3) -> PrecisionRecall:
    """Improved precision and recall of features `(n, d)`.

    A set's manifold is the union of balls around its rows, each as wide as the distance to its k-th nearest other row.
    Precision is the part of samples in the manifold of the data, recall that of the data in the manifold of samples.

    Source: Kynkäänniemi, Karras, Laine, Lehtinen, Aila, NeurIPS 2019, equations 1 and 2.

    Args:
        real: Features of real examples.
        fake: Features of samples.
        neighbours: The k of the k-th nearest.

    Raises:
        UsageError: if there are no more rows than neighbours, or some are not finite.
    """
    check("neighbours", neighbours, at_least=1)
    real, fake = pair(real, fake, at_least=neighbours + 1)
    return PrecisionRecall(_covered(real, fake, neighbours), _covered(fake, real, neighbours))


def _covered(centres: Tensor, x: Tensor, neighbours: int) -> float:
    """The part of the rows `x` that lie in a ball around one of the `centres`."""
    # The nearest of all is the row itself, at distance 0.
    blocks = squared_distances(centres, centres)
    radii = torch.cat([squared.kthvalue(neighbours + 1, dim=1).values for squared in blocks])
    inside = [(squared <= radii).any(1) for squared in squared_distances(x, centres)]
    return float(torch.cat(inside).double().mean())
