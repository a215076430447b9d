"""Clusters of examples, by k-means with a fixed seed."""

import torch
from torch import Generator, Tensor

UPDATES = 100  # at most; digits take about 20


def clustered(x: Tensor, count: int) -> Tensor:
    """The cluster of each row of `x` `(n, d)`, from 0 to `count` - 1, `(n,)`; no cluster is empty.

    Lloyd's algorithm from the first centres of k-means++. A cluster that loses all of its rows gets the row that is
    farthest from its centre.

    Source: Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", 2007.
    """
    centres = first_centres(x, count)
    labels = torch.full((len(x),), -1)
    for _ in range(UPDATES):
        distance, found = torch.cdist(x, centres).min(1)
        for label in (torch.bincount(found, minlength=count) == 0).nonzero().flatten().tolist():
            single = torch.bincount(found, minlength=count)[found] == 1
            farthest = int(torch.where(single, -1.0, distance).argmax())
            found[farthest], distance[farthest] = label, 0.0
        if torch.equal(found, labels):
            break
        labels = found
        sizes = torch.bincount(labels, minlength=count).unsqueeze(1)
        centres = torch.zeros_like(centres).index_add_(0, labels, x) / sizes
    return labels


def first_centres(x: Tensor, count: int) -> Tensor:
    """Rows of `x`, each drawn with probability proportional to its squared distance from those drawn before it."""
    rng = Generator().manual_seed(0)
    chosen = [int(torch.randint(len(x), (), generator=rng))]
    distance = (x - x[chosen[0]]).square().sum(1)
    for _ in range(count - 1):
        weights = distance if bool(distance.any()) else torch.ones_like(distance)
        chosen.append(int(torch.multinomial(weights, 1, generator=rng)))
        distance = torch.minimum(distance, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen]
