"""Penalties that keep an energy trainable, beside its likelihood."""

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ebmkit.interfaces import energy_values


def slopes(energy: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """E(x) and `|dE/dx|²` at examples `x` `(B, *shape)`, both `(B,)` and differentiable by the parameters.

    Attention is computed by torch's plain kernel, the only one with the second derivative that this needs.

    Source: `mean |dE/dx|² / 2` over real examples is the penalty R1 of Mescheder, Geiger, Nowozin, ICML 2018, eq. 9.
    """
    x = x.detach().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        values = energy_values(energy, x)
        (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    return values, gradient.square().flatten(1).sum(1)
