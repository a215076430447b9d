"""Measures that need no pair of sets: of a classifier's opinion, and of pictures beside their originals."""

import torch
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.rows import rows


def inception_score(probabilities: Tensor) -> float:
    """`exp(E KL(p(y|x) ‖ p(y)))` of class probabilities `(n, classes)`: from 1 to the number of classes, of one split.

    High where each sample is of a clear class and all classes are there. It is called Inception score with the
    probabilities of the 2015 Inception network only.

    Source: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, NeurIPS 2016, section 4.

    Raises:
        UsageError: if these are no probabilities.
    """
    p = rows("probabilities", probabilities)
    if bool((p < 0).any()) or not torch.allclose(p.sum(1), torch.ones_like(p[:, 0]), atol=1e-3):
        raise UsageError("probabilities must not be negative, and each row must add up to 1: give softmax(logits)")
    marginal = p.mean(0)
    return float((torch.xlogy(p, p) - torch.xlogy(p, marginal)).sum(1).mean().exp())


def reconstruction_error(x: Tensor, reconstruction: Tensor) -> float:
    """Mean squared error of each number of `reconstruction` beside `x`, both `(n, *shape)` on [-1, 1].

    Raises:
        UsageError: if the two are not of one shape, or some are not finite.
    """
    if x.shape != reconstruction.shape:
        raise UsageError(f"x is of shape {tuple(x.shape)} and its reconstruction {tuple(reconstruction.shape)}")
    return float((rows("x", x) - rows("reconstruction", reconstruction)).square().mean())
