"""Precision and recall: the fraction of one set that lies among the neighbours of the other."""

from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit.errors import check
from ebmkit.evaluation.rows import pair, squared_distances


class PrecisionRecall(NamedTuple):
    """The fraction of samples that look real, and the fraction of the data that samples reach; both in [0, 1]."""

    precision: float
    recall: float


def precision_recall(real: Tensor, fake: Tensor, *, neighbours: int = 3) -> PrecisionRecall:
    """Improved precision and recall of features `(n, d)`.

    The manifold of a set is the union of balls around its rows, with the distance to the k-th nearest other row as
    radius. Precision is the fraction of samples in the manifold of the data, recall the fraction of the data in the
    manifold of the samples.

    Source: Kynkäänniemi, Karras, Laine, Lehtinen, Aila, NeurIPS 2019, equations 1 and 2.

    Args:
        real: Features of real examples.
        fake: Features of samples.
        neighbours: k.

    Raises:
        UsageError: if there are k rows or fewer, or some are not finite.
    """
    check("neighbours", neighbours, at_least=1)
    real, fake = pair(real, fake, at_least=neighbours + 1)
    return PrecisionRecall(_covered(real, fake, neighbours), _covered(fake, real, neighbours))


def _covered(centres: Tensor, x: Tensor, neighbours: int) -> float:
    """The fraction of the rows `x` that lie in a ball around one of the `centres`."""
    # The nearest row is the row itself, at distance 0.
    blocks = squared_distances(centres, centres)
    radii = torch.cat([squared.kthvalue(neighbours + 1, dim=1).values for squared in blocks])
    inside = [(squared <= radii).any(1) for squared in squared_distances(x, centres)]
    return float(torch.cat(inside).double().mean())
