"""Inference of where a chain started: descent on |M(z) - x|², and the gradient through the chain in little memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError
from ebmkit.interfaces import EnergyFn, Sampler, per_example


@dataclass(frozen=True)
class Reconstruction:
    """What was found for examples x `(B, *shape)`.

    Attributes:
        z: The best start of each `(B, *shape)`.
        x: Its image M(z), `(B, *shape)`; NaN where no chain stayed finite.
        error: Mean squared error per element of the best so far: at the start and after each update,
            `(updates + 1, B)`.
        kept: The best image so far after each of the updates that were asked for, and that there were.
    """

    z: Tensor
    x: Tensor
    error: Tensor
    kept: dict[int, Tensor]


def descend(
    model: Callable[[Tensor], tuple[Tensor, Tensor]],
    z: Tensor,
    x: Tensor,
    updates: int,
    lr: float,
    method: Literal["descent", "adam"],
    at: Sequence[int],
) -> Reconstruction:
    """Update z against the gradient of |M(z) - x|², and keep the best of each example.

    Args:
        model: Gives M(z) and that gradient, each `(B, *shape)`.
        z: The first z; it is not written to.
        x: What M(z) shall be.
        updates: How many updates.
        lr: Learning rate.
        method: Gradient descent, or Adam.
        at: The updates after which the best image is kept.
    """
    z = z.clone()
    optimizer = (torch.optim.Adam if method == "adam" else torch.optim.SGD)([z], lr=lr)
    best_z, best = z.clone(), torch.full((len(x),), math.inf, device=x.device)
    best_x = torch.full_like(z, math.nan)
    errors, kept = [], {}
    for update in range(updates + 1):
        end, gradient = model(z.detach())
        error = (end - x).square().flatten(1).mean(1)
        better = error < best
        best = torch.where(better, error, best)
        best_z = torch.where(per_example(z, better), z.detach(), best_z)
        best_x = torch.where(per_example(z, better), end, best_x)
        errors.append(best)
        if update in at:
            kept[update] = best_x
        z.grad = gradient.nan_to_num(0.0, 0.0, 0.0)  # an example whose chain left the numbers keeps its best and rests
        optimizer.step()
    return Reconstruction(best_z, best_x, torch.stack(errors), kept)


def pull_back(
    sampler: Sampler, energy: EnergyFn, z: Tensor, rng: Generator
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The chain's end `(B, *shape)` and the map that carries a gradient by the end back to one by z.

    A chain of a homogeneous sampler is cut into about sqrt(K) pieces. Only their starts are kept; the graph of one
    piece at a time is made again on the way back. So memory grows with the square root of K, for one more chain.
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
            with torch.enable_grad():
                end = piece.sample(energy, leaf, again)
                (gradient,) = torch.autograd.grad(end, leaf, gradient)
        return gradient

    return x, back


def cut(sampler: Sampler) -> list[Sampler]:
    """A chain as pieces of about sqrt(K) steps, which follow each other; one piece where it cannot be cut."""
    steps = sampler.steps
    if steps is None or not sampler.promises.homogeneous:
        return [sampler]
    size = math.isqrt(steps)
    lengths = [size] * (steps // size) + ([steps % size] if steps % size else [])
    try:
        return [sampler.with_steps(length) for length in lengths]
    except UsageError:
        return [sampler]
