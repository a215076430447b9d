"""Scores of class probabilities, and of reconstructions beside their originals."""

import torch
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.rows import finite_rows


def inception_score(probabilities: Tensor) -> float:
    """`exp(E KL(p(y|x) ‖ p(y)))` of class probabilities `(n, classes)`, in [1, classes], from a single split.

    It is high if every sample clearly belongs to a class and all classes occur. It is called Inception score only with
    the probabilities of the 2015 Inception network.

    Source: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, NeurIPS 2016, section 4.

    Raises:
        UsageError: if a row is not a probability distribution.
    """
    p = finite_rows("probabilities", probabilities)
    if bool((p < 0).any()) or not torch.allclose(p.sum(1), torch.ones_like(p[:, 0]), atol=1e-3):
        raise UsageError("probabilities must not be negative and each row must sum to 1; pass softmax(logits)")
    marginal = p.mean(0)
    return float((torch.xlogy(p, p) - torch.xlogy(p, marginal)).sum(1).mean().exp())


def reconstruction_error(x: Tensor, reconstruction: Tensor) -> float:
    """Mean squared error per element of `reconstruction` against `x`, both `(n, *shape)` in [-1, 1].

    Raises:
        UsageError: if the two differ in shape, or some are not finite.
    """
    if x.shape != reconstruction.shape:
        raise UsageError(
            f"x has shape {tuple(x.shape)} and its reconstruction {tuple(reconstruction.shape)}; expected the same"
        )
    return float((finite_rows("x", x) - finite_rows("reconstruction", reconstruction)).square().mean())
