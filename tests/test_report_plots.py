"""The plots of a report."""

import json
import math

import numpy as np
import torch
from report_pages import context

from ebmkit.report import figures, value_sections


def test_only_long_curves_are_thinned_to_means_in_a_band():
    step, values = torch.arange(1.0, 4001), torch.tensor([1.0, 3.0]).repeat(2000)
    at, middle, low, high = figures.thinned(step, values)
    assert len(at) == figures.POINTS
    assert at[0] == 10
    assert at[-1] == 4000
    assert (middle == 2).all()
    assert (low == 1).all()
    assert (high == 3).all()
    at, middle, low, high = figures.thinned(step[:7], values[:7])
    assert np.array_equal(at, step[:7])
    assert np.array_equal(low, middle)
    assert np.array_equal(high, middle)
    assert len(figures.curves(step, {"gap": values}, title="x")) < 100_000


def test_histograms_leave_out_nonfinite_values():
    drawn = figures.histograms({"a": torch.tensor([1.0, 2, math.inf]), "b": torch.tensor([math.nan])}, title="x", x="E")
    assert "<svg" in drawn


def test_a_loss_that_equals_the_gap_is_drawn_once(tmp_path):
    same = dict.fromkeys(("gap", "loss"), torch.arange(5.0))
    assert drawn_names(tmp_path, same) == set()
    assert drawn_names(tmp_path, same | {"loss": torch.arange(5.0) + 1}) == {"gap", "loss"}


def drawn_names(folder, past):
    """The names in the legend of the curves of a training."""
    rows = [{"update": n, **{key: float(values[n]) for key, values in past.items()}} for n in range(5)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    html = value_sections.training(context(folder))
    return {name for name in ("gap", "loss") if f">{name}</text>" in html}
