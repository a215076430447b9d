"""The values that a run wrote at every update: read back, and how gap and gradient are correlated."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebmkit.errors import UsageError, check, listed
from ebmkit.evaluation.diagnostics import autocorrelation
from ebmkit.files import json_of

METRICS = "metrics.jsonl"  # in the folder of a run


def metric_lines(folder: Path) -> list[tuple[str, dict[str, Any] | None]]:
    """Every line of `metrics.jsonl` with the values that it holds.

    A line that a crash or a full disk cut off, wherever it is, or that is damaged in another way, has None for its
    values. Those of an update are floats, NaN for null; those of an event are as they were written.

    Raises:
        OSError: if the file cannot be read.
    """
    lines = (folder / METRICS).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [(line, values_in(line)) for line in lines]


def values_in(line: str) -> dict[str, Any] | None:
    """The values in a line of metrics; None if it is damaged."""
    try:
        values = json_of(line)
        if "event" in values and isinstance(values, dict):
            return values
        found = {str(key): math.nan if value is None else float(value) for key, value in values.items()}
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    return found if "update" in found else None


def read_metrics(folder: Path) -> dict[str, Tensor]:
    """The values in `metrics.jsonl` by name, among them `update`; `(lines,)` each, in double precision.

    A value that is null, or missing from a line, is NaN. Lines of events are skipped; see `read_events`. Lines that
    were cut off are skipped with a warning: the run may be writing the last one.

    Raises:
        UsageError: if the file cannot be read, or has no complete line.
    """
    path = folder / METRICS
    try:
        lines = [values for _, values in metric_lines(folder)]
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; expected the values of a run, train with -s watch.metrics.every=1"
        ) from None
    if damaged := [str(number) for number, values in enumerate(lines, start=1) if values is None]:
        warnings.warn(f"{path}: lines that were cut off or damaged are skipped: {listed(damaged)}", stacklevel=2)
    rows = [values for values in lines if values is not None and "event" not in values]
    if not rows:
        raise UsageError(f"{path} has no values yet: expected a line for each update; wait for the first update")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: torch.tensor([row.get(name, math.nan) for row in rows], dtype=torch.float64) for name in names}


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events in `metrics.jsonl`: each time that the run diverged, was rolled back, or was resumed from before.

    There are none if there is no file.
    """
    try:
        return [values for _, values in metric_lines(folder) if values is not None and "event" in values]
    except OSError:
        return []


def last_update(folder: Path) -> int:
    """The last update in `metrics.jsonl`; 0 if it has none."""
    try:
        found = [values["update"] for _, values in metric_lines(folder) if values is not None and "event" not in values]
    except OSError:
        return 0
    return int(found[-1]) if found and math.isfinite(found[-1]) else 0


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
