"""What guesses that know no model achieve: the scale of a reconstruction error."""

import math

import torch
from torch import Tensor

from ebmkit.data.examples import Examples
from ebmkit.evaluation.analysis import neighbours, projected


def reconstruction_baselines(x: Tensor, examples: Examples, *, batch: int = 1024) -> dict[str, float]:
    """Mean squared error per element of three guesses for examples x `(n, *shape)`.

    Args:
        x: What is reconstructed.
        examples: The data.
        batch: How many examples are in memory at once.

    Returns:
        `mean of the data`, the mean example; `nearest in the data`, the nearest other example; `32 components`, the
        projection onto the first 32 principal components of the data.
    """
    chunks = torch.split(torch.arange(len(examples)), batch)
    mean = torch.stack([examples.fetch(chunk).double().sum(0) for chunk in chunks]).sum(0) / len(examples)
    distance = neighbours(x, examples, count=min(2, len(examples))).distance
    # Closer than the rounding of a file of bytes, the first one found is the example itself.
    found = distance[:, 0] <= math.sqrt(x[0].numel()) / 255
    other = torch.where(found, distance[:, -1], distance[:, 0])
    return {
        "mean of the data": float((x - mean).square().mean()),
        "nearest in the data": float(other.square().mean()) / x[0].numel(),
        "32 components": float((projected(x, examples) - x).square().mean()),
    }
