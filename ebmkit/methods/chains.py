"""Chains run to their ends, and measured on the way."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ebmkit.interfaces import State

MEASURED = ("start_gradient", "end_gradient", "displacement", "accepted", "nonfinite")


def follow(start: Tensor, states: Iterable[State]) -> tuple[Tensor, dict[str, Tensor]]:
    """Run chains to their ends and measure them on the way, without waiting for the device.

    Args:
        start: Where the chains start, `(B, *shape)`.
        states: What `Sampler.chain` yields from there.

    Returns:
        Where they ended `(B, *shape)`, and the means over the batch that MEASURED names: `start_gradient` and
        `end_gradient`, the norm of dE/dx at the first and the last step; `displacement`, the mean length of a step;
        and, for samplers that accept or reject, `accepted` and `nonfinite`, fractions of the proposals in [0, 1]. What
        a sampler does not report is absent.
    """
    # Sums are per example: the mean over the batch at every step would be one more operation.
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
    """Add `value` to the sum of that name, in place; booleans are summed in float32."""
    if key not in sums:
        sums[key] = torch.zeros_like(value, dtype=value.dtype if value.is_floating_point() else torch.float32)
    sums[key] += value


def norms(x: Tensor) -> Tensor:
    """Euclidean norms `(B,)` of the examples `x` `(B, *shape)`."""
    norm: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return norm
