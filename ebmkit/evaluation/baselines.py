"""Reconstruction errors without a model: the scale on which the error of a model is read."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ebmkit.data.examples import Examples
from ebmkit.evaluation.nearest import NearestSearch, pca_reconstruction

COMPONENTS = 32  # of the linear reconstruction


def reconstruction_baselines(
    x: Tensor, examples: Examples, *, batch: int = 1024, on_read: Callable[[int], None] | None = None
) -> dict[str, float]:
    """Mean squared error per element of reconstructions of examples x `(n, *shape)` that use no model.

    All examples are read once, and up to 4,000 of them a second time for their principal components.

    Args:
        x: The examples to reconstruct.
        examples: The data.
        batch: How many examples are in memory at once.
        on_read: Called with the number of examples of each batch that was read, to show progress.

    Returns:
        `mean of the data`, the mean example; `nearest in the data`, the nearest other example; `32 principal
        components`, the projection onto the first 32 of the data, unless examples have no more elements than that.
    """
    sums, search = [], NearestSearch(x, min(2, len(examples)))
    for chunk in torch.split(torch.arange(len(examples)), batch):
        values = examples.fetch(chunk)
        sums.append(values.double().sum(0))
        search.add(chunk, values)
        if on_read is not None:
            on_read(len(chunk))
    mean, distance = torch.stack(sums).sum(0) / len(examples), search.found.distance
    # An example that is closer than the rounding of 8-bit files is x itself.
    found = distance[:, 0] <= math.sqrt(x[0].numel()) / 255
    other = torch.where(found, distance[:, -1], distance[:, 0])
    errors = {
        "mean of the data": float((x - mean).square().mean()),
        "nearest in the data": float(other.square().mean()) / x[0].numel(),
    }
    if x[0].numel() > COMPONENTS:  # else they reconstruct everything, and the error says nothing
        linear = pca_reconstruction(x, examples, components=COMPONENTS)
        errors[f"{COMPONENTS} principal components"] = float((linear - x).square().mean())
    return errors
