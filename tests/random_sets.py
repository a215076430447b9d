"""Random sets of features, for the tests of measures."""

import torch

from ebmkit.evaluation.kernels import kernel_distance


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d=4, seed=0):
    return torch.randn(n, d, generator=rng(seed), dtype=torch.float64)


def kid(real, fake):
    return kernel_distance(real, fake, rng())
