"""A chain run to its end and measured on the way."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebmkit.interfaces import State


def follow(start: Tensor, states: Iterable[State]) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a chain to its end and measure it on the way, without waiting for the device.

    Returns:
        Where it ended `(B, *shape)`, and means over the batch: `start_gradient` and `end_gradient`, the norm of
        dE/dx at the chain's first and last step; `displacement`, the mean length of a step; and, from samplers
        that accept or reject, `accepted` and `nonfinite`, the shares of proposals.
    """
    # One sum for each example: a mean over the batch at every step would be one operation more.
    sums: dict[str, Tensor] = {}
    first = last = None
    x, count = start, 0
    for state in states:
        _add(sums, "displacement", norms(state.x - x))
        for key in ("accepted", "nonfinite"):
            if key in state.info:
                _add(sums, key, state.info[key])
        last = state.info.get("gradient", last)
        first = last if first is None else first
        x, count = state.x, count + 1
    ends = {} if first is None or last is None else {"start_gradient": first, "end_gradient": last}
    means = {key: total.mean() / count for key, total in sums.items()}
    return x, {key: norms(gradient).mean() for key, gradient in ends.items()} | means


def _add(sums: dict[str, Tensor], key: str, value: Tensor) -> None:
    """Add `value` to the sum of that name, in place; the sum of truths is floating."""
    if key not in sums:
        sums[key] = torch.zeros_like(value, dtype=value.dtype if value.is_floating_point() else torch.float32)
    sums[key] += value


def norms(x: Tensor) -> Tensor:
    """Euclidean norm of each example of `x` `(B, *shape)`, `(B,)`."""
    norm: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return norm
