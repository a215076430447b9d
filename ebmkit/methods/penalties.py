"""Penalties that keep an energy trainable, beside its likelihood."""

from typing import Any

import torch
from torch import Tensor, nn

from ebmkit.interfaces import energy_values
from ebmkit.modes import twice_differentiable


def gradients(energy: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """E(x) `(B,)` and dE/dx `(B, *shape)` at examples `x`, both differentiable by the parameters.

    Attention is computed by its formula, and a compiled energy as it is written: both have no second derivative
    otherwise. If E of an example depends on the others, as with batch normalisation in training mode, the gradient is
    that of the sum of all energies.
    """
    x = x.detach().requires_grad_()
    with twice_differentiable():
        values = energy_values(energy, x)
        (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    return values, gradient


def slopes(energy: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """E(x) and `|dE/dx|²` at examples `x` `(B, *shape)`, both `(B,)` and differentiable by the parameters.

    Source: `mean |dE/dx|² / 2` over real examples is the penalty R1 of Mescheder, Geiger, Nowozin, ICML 2018, eq. 9.
    """
    values, gradient = gradients(energy, x)
    return values, gradient.square().flatten(1).sum(1)


def penalised(energy: nn.Module, batch: Tensor, weight: float) -> tuple[Tensor, Tensor | float]:
    """E of a batch `(B,)`, and the gradient penalty of this weight there; one of 0 needs no second derivative."""
    if not weight:
        return energy_values(energy, batch), 0.0
    values, squares = slopes(energy, batch)
    return values, weight / 2 * squares.mean()


def refuse_detached_gradients(energy: nn.Module, x: Tensor) -> None:
    """Refuse an energy whose penalty would have a wrong gradient, because a backward pass leaves autograd.

    A `torch.autograd.Function` may compute its backward pass with numpy or under `no_grad`. The gradient by `x`
    `(B, *shape)` is right then, but its own gradient lacks terms, and torch does not say so. Every backward pass is
    linear in what it gets: if that requires a gradient, so must the result, unless it is zero.

    Raises:
        RuntimeError: naming the function.
    """
    detached: list[str] = []

    def watch(node: Any) -> None:
        def check(results: tuple[Any, ...], given: tuple[Any, ...]) -> None:
            if any(one is not None and one.requires_grad for one in given):
                detached.extend(
                    node.name() for one in results if one is not None and not one.requires_grad and bool(one.any())
                )

        node.register_hook(check)

    x = x.detach().requires_grad_()
    with twice_differentiable():
        values = energy_values(energy, x)
        nodes: list[Any] = [values.grad_fn]
        seen = set(nodes)
        for node in nodes:
            watch(node)
            inner = [one for one, _ in node.next_functions if one is not None and one not in seen]
            nodes.extend(dict.fromkeys(inner))
            seen.update(inner)
        torch.autograd.grad(values, x, torch.ones_like(values, requires_grad=True), create_graph=True)
    if detached:
        raise RuntimeError(f"the backward pass of {detached[0].removesuffix('Backward')} leaves autograd")
