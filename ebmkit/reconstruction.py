"""Inference of the start of a chain: descent on |M(z) - x|², and backpropagation through the chain in little memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError, check, nearest, one_line
from ebmkit.interfaces import EnergyFn, Sampler, per_example
from ebmkit.modes import twice_differentiable

Method = Literal["descent", "adam"]
Gradient = Literal["auto", "translation", "full"]


@dataclass(frozen=True)
class Reconstruction:
    """Reconstructions of examples x `(B, *shape)`.

    Attributes:
        z: The best start for each example, `(B, *shape)`.
        x: The image M(z) of that start, `(B, *shape)`; NaN where no chain stayed finite.
        error: Mean squared error per element of the best image so far: at first and after each update,
            `(updates + 1, B)`.
        kept: The best images so far after each requested update that was made.
    """

    z: Tensor
    x: Tensor
    error: Tensor
    kept: dict[int, Tensor]


def check_settings(x: Tensor, updates: int, lr: float, method: str, gradient: str, exact: bool) -> None:
    """Refuse a reconstruction that cannot be done; `exact` says whether M is a translation here.

    Raises:
        UsageError: for a setting out of range, examples that are not finite, or a translation that is not exact.
    """
    for name, word, words in (("method", method, get_args(Method)), ("gradient", gradient, get_args(Gradient))):
        if word not in words:
            raise UsageError(f"{name} must be {' or '.join(words)}, not '{word}'.{nearest(word, words)}")
    if not bool(x.isfinite().all()):
        raise UsageError("x contains NaN or infinity; expected finite values")
    check("updates", updates, at_least=0)
    check("lr", lr, above=0)
    if gradient == "translation" and not exact:
        raise UsageError("gradient='translation' is exact only for piecewise linear energies; write 'full' or 'auto'")


def descend(
    model: Callable[[Tensor], tuple[Tensor, Tensor]],
    z: Tensor,
    x: Tensor,
    updates: int,
    lr: float,
    method: Method,
    at: Sequence[int],
) -> Reconstruction:
    """Minimise |M(z) - x|² over z, and keep the best z of each example.

    Args:
        model: Returns M(z) and the gradient of |M(z) - x|² by z, in the shapes of x and of z.
        z: The first z; it is not written to.
        x: The target of M(z), `(B, *shape)`.
        updates: The number of updates.
        lr: Learning rate.
        method: Gradient descent, or Adam.
        at: The updates after which the best images so far are kept.
    """
    z = z.clone()
    optimizer = (torch.optim.Adam if method == "adam" else torch.optim.SGD)([z], lr=lr)
    best_z, best = z.clone(), torch.full((len(x),), math.inf, device=x.device)
    best_x = torch.full_like(x, math.nan)
    errors, kept = [], {}
    for update in range(updates + 1):
        end, gradient = model(z.detach())
        error = (end - x).square().flatten(1).mean(1)
        better = error < best
        best = torch.where(better, error, best)
        best_z = torch.where(per_example(z, better), z.detach(), best_z)
        best_x = torch.where(per_example(x, better), end, best_x)
        errors.append(best)
        if update in at:
            kept[update] = best_x
        z.grad = gradient.nan_to_num(0.0, 0.0, 0.0)  # an example whose chain diverged keeps its best z
        optimizer.step()
    return Reconstruction(best_z, best_x, torch.stack(errors), kept)


def pull_back(
    sampler: Sampler, energy: EnergyFn, z: Tensor, rng: Generator
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The end of the chain `(B, *shape)`, and a function that maps a gradient by the end to the gradient by z.

    The chain of a homogeneous sampler is cut into about sqrt(K) pieces. Only their starts are stored, and the backward
    pass recomputes one piece at a time. So memory grows with the square root of K, at the cost of one more chain.

    Attention is computed by its formula, since torch's fused kernels have no second derivative, and a compiled energy
    is run as it is written, since compiled programs have none.

    Raises:
        UsageError: from the returned function, if the energy has no second derivative.
    """
    pieces = cut(sampler)
    starts: list[tuple[Sampler, Tensor, Tensor]] = []
    x = z.detach()
    for piece in pieces:
        starts.append((piece, x, rng.get_state()))
        x = piece.sample(energy, x, rng).detach()

    def back(gradient: Tensor) -> Tensor:
        for piece, start, state in reversed(starts):
            again = Generator(start.device)
            again.set_state(state)
            leaf = start.clone().requires_grad_()
            with twice_differentiable(), torch.enable_grad():
                end = piece.sample(energy, leaf, again)
                try:
                    refuse_delayed_errors(end)
                    (gradient,) = torch.autograd.grad(end, leaf, gradient)
                except RuntimeError as error:
                    raise UsageError(
                        "reconstruction differentiates the chain, which needs the second derivative of the energy: "
                        f"{one_line(error)[:200]}"
                    ) from error
        return gradient

    return x, back


def refuse_delayed_errors(end: Tensor) -> None:
    """Refuse a graph with a function that is differentiable only once.

    torch marks it by a node that raises, but leaves that node out of a gradient by chosen inputs: the gradient would
    lack a term.

    Raises:
        RuntimeError: if there is one.
    """
    nodes = [end.grad_fn]
    seen = set(nodes)
    for node in nodes:
        if node is not None:
            if node.name() == "torch::autograd::Error":
                raise RuntimeError("it has a function that is differentiable only once")
            nodes.extend(inner for inner, _ in node.next_functions if inner not in seen)
            seen.update(inner for inner, _ in node.next_functions)


def cut(sampler: Sampler) -> list[Sampler]:
    """Samplers whose chains, one after the other, make that of `sampler`, about sqrt(K) steps each.

    A sampler that cannot be cut is returned as it is.
    """
    steps = sampler.steps
    if steps is None or not sampler.promises.homogeneous:
        return [sampler]
    size = math.isqrt(steps)
    lengths = [size] * (steps // size) + ([steps % size] if steps % size else [])
    try:
        return [sampler.with_steps(length) for length in lengths]
    except UsageError:
        return [sampler]
