"""The figures of a run over its updates: read again, and how they hang together."""

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit.errors import UsageError, check
from ebmkit.evaluation.diagnostics import autocorrelation


def history(folder: Path) -> dict[str, Tensor]:
    """The figures of `metrics.jsonl` by name, `(lines,)` each, in double precision.

    What a line does not have, or has as null, is NaN. A last line that was cut off while it was written is left out
    with a warning.

    Raises:
        UsageError: if the file cannot be read, has no whole line, or is damaged before its last line.
    """
    path = folder / "metrics.jsonl"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; expected the figures of a run, by -s watch.metrics.every=1"
        ) from None
    rows: list[dict[str, float]] = []
    for number, line in enumerate(lines, start=1):
        try:
            figures = json.loads(line).items()
            rows.append({key: math.nan if value is None else float(value) for key, value in figures})
        except (ValueError, TypeError, AttributeError):
            if number < len(lines):
                raise UsageError(f"{path}:{number} is damaged: expected a table of figures, delete that line") from None
            warnings.warn(f"{path}: the last line was cut off and is left out", stacklevel=2)
    if not rows:
        raise UsageError(f"{path} has no figures yet: expected a line for each update, let the run go on")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: torch.tensor([row.get(name, math.nan) for row in rows], dtype=torch.float64) for name in names}


class Correlations(NamedTuple):
    """How the energy gap d and the chain's gradient r hang together over the updates.

    Attributes:
        gap: Autocorrelation of d at the lags 0 to L, `(L + 1,)`.
        gradient: That of r.
        lags: The lags -L to L, `(2 L + 1,)`.
        cross: Correlation of d with r that many lines later.
    """

    gap: Tensor
    gradient: Tensor
    lags: Tensor
    cross: Tensor


def correlations(past: Mapping[str, Tensor], *, lags: int = 50) -> Correlations:
    """Auto- and cross-correlation of d and r over training, from what `history` gave.

    d is `gap`, r the mean of `start_gradient` and `end_gradient`. Lags count lines of the history.

    Source: Nijkamp, Hill, Han, Zhu, Wu, AAAI 2020, which watches both.

    Args:
        past: The history, of 4 lines at least.
        lags: L; a history of no more lines is taken to its last lag.

    Raises:
        UsageError: for a sampler that tells no gradients, or too short a history.
    """
    check("lags", lags, at_least=1)
    if not {"gap", "start_gradient", "end_gradient"} <= set(past):
        raise UsageError("the history has no gradients of the chain: expected gap, start_gradient and end_gradient")
    gap, gradient = past["gap"], (past["start_gradient"] + past["end_gradient"]) / 2
    own = autocorrelation(torch.stack([gap, gradient], dim=1))
    lags = min(lags, len(gap) - 1)
    cross = cross_correlation(gap, gradient, lags)
    return Correlations(own[: lags + 1, 0], own[: lags + 1, 1], torch.arange(-lags, lags + 1), cross)


def cross_correlation(a: Tensor, b: Tensor, lags: int) -> Tensor:
    """`Σᵢ (aᵢ - ā)(bᵢ₊ₜ - b̄) / (steps σ_a σ_b)` at t = -lags to lags; NaN unless both series `(steps,)` vary."""
    if not all(bool(one.isfinite().all() & (one.max() > one.min())) for one in (a, b)):
        return torch.full((2 * lags + 1,), math.nan, dtype=a.dtype)
    steps = len(a)
    a, b = ((one - one.mean()) / one.std(correction=0) for one in (a, b))
    later = [(a[: steps - lag] * b[lag:]).sum() / steps for lag in range(lags + 1)]
    earlier = [(a[lag:] * b[: steps - lag]).sum() / steps for lag in range(lags, 0, -1)]
    return torch.stack([*earlier, *later])
