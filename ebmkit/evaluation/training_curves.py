"""The values that a run wrote at every update: read back, and how gap and gradient are correlated."""

import math
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebmkit.errors import UsageError, check
from ebmkit.evaluation.diagnostics import autocorrelation
from ebmkit.files import json_of

METRICS = "metrics.jsonl"  # in the folder of a run


def read_metrics(folder: Path) -> dict[str, Tensor]:
    """The values in `metrics.jsonl` by name, among them `update`; `(lines,)` each, in double precision.

    A value that is null, or missing from a line, is NaN. Lines of events are skipped; see `read_events`. A last line
    that was cut off is skipped with a warning: the run may be writing it.

    Raises:
        UsageError: if the file cannot be read, has no complete line, or is damaged before its last line.
    """
    path = folder / METRICS
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; expected the values of a run, train with -s watch.metrics.every=1"
        ) from None
    rows: list[dict[str, float]] = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json_of(line)
            if "event" not in values:
                rows.append({key: math.nan if value is None else float(value) for key, value in values.items()})
        except (ValueError, TypeError, AttributeError, OverflowError):
            if number < len(lines):
                raise UsageError(
                    f"{path}:{number} is damaged: expected a JSON object of values; delete that line"
                ) from None
            warnings.warn(f"{path}: the last line was cut off and is skipped", stacklevel=2)
    if not rows:
        raise UsageError(f"{path} has no values yet: expected a line for each update; wait for the first update")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: torch.tensor([row.get(name, math.nan) for row in rows], dtype=torch.float64) for name in names}


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events in `metrics.jsonl`: each time that the run diverged or was rolled back; none if there is no file."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            values = json_of(line)
            if isinstance(values, dict) and "event" in values:
                found.append(values)
    return found


class Correlations(NamedTuple):
    """Correlations of the gap d and the gradient r of the chain over the updates.

    Attributes:
        gap: Autocorrelation of d at the lags 0 to L, `(L + 1,)`.
        gradient: Autocorrelation of r.
        lags: The lags -L to L, `(2 L + 1,)`.
        cross: Correlation of d with r at each of `lags`; r is later at a positive lag.
    """

    gap: Tensor
    gradient: Tensor
    lags: Tensor
    cross: Tensor


def correlations(metrics: Mapping[str, Tensor], *, lags: int = 50) -> Correlations:
    """Auto- and cross-correlation of d and r over a training.

    d is `gap`, r the mean of `start_gradient` and `end_gradient`. Lags count lines of the metrics.

    Source: Nijkamp, Hill, Han, Zhu, Wu, AAAI 2020, which examines both.

    Args:
        metrics: The result of `read_metrics`, of at least 4 lines.
        lags: L, the largest lag; at most the number of lines less one is used.

    Raises:
        UsageError: if the sampler reported no gradients, or there are too few lines.
    """
    check("lags", lags, at_least=1)
    if not {"gap", "start_gradient", "end_gradient"} <= set(metrics):
        raise UsageError("the metrics have no gradients of the chain: expected gap, start_gradient and end_gradient")
    gap, gradient = metrics["gap"], (metrics["start_gradient"] + metrics["end_gradient"]) / 2
    own = autocorrelation(torch.stack([gap, gradient], dim=1))
    lags = min(lags, len(gap) - 1)
    cross = cross_correlation(gap, gradient, lags)
    return Correlations(own[: lags + 1, 0], own[: lags + 1, 1], torch.arange(-lags, lags + 1), cross)


def cross_correlation(a: Tensor, b: Tensor, lags: int) -> Tensor:
    """`Σᵢ (aᵢ - ā)(bᵢ₊ₜ - b̄) / (n σ_a σ_b)` at t = -lags to lags; NaN unless both series `(n,)` vary."""
    if not all(bool(series.isfinite().all() & (series.max() > series.min())) for series in (a, b)):
        return torch.full((2 * lags + 1,), math.nan, dtype=a.dtype)
    n = len(a)
    a, b = ((series - series.mean()) / series.std(correction=0) for series in (a, b))
    later = [(a[: n - lag] * b[lag:]).sum() / n for lag in range(lags + 1)]
    earlier = [(a[lag:] * b[: n - lag]).sum() / n for lag in range(lags, 0, -1)]
    return torch.stack([*earlier, *later])
