"""The values of a run, read back from metrics.jsonl, and their correlations."""

import json
import math
import warnings

import pytest
import torch
from refusing import refused
from torch import Generator

from ebmkit.evaluation.training_curves import correlations, cross_correlation, last_update, read_metrics
from ebmkit.runs.events import has_diverged, rewrite_metrics

Z = 5


def rng(seed=0):
    return Generator().manual_seed(seed)


def written(folder, text):
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    return folder


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_every_value_of_every_line_is_read(tmp_path):
    past = read_metrics(written(tmp_path, lines({"update": 1, "gap": 0.5}, {"update": 2, "gap": None, "accepted": 1})))
    assert list(past) == ["update", "gap", "accepted"]
    assert all(values.dtype == torch.float64 for values in past.values())
    assert past["update"].tolist() == [1, 2]
    assert past["gap"][0] == 0.5
    assert past["gap"][1].isnan()
    assert past["accepted"][0].isnan()
    assert past["accepted"][1] == 1


DAMAGED = [
    '{"update": 3, "ga',
    "17",
    '{"update": "x"}',
    '{"update": [3]}',
    '{"gap": 1}',
    '{"update": 3, "gap": 1' + "0" * 400 + "}",
    '{"update": 3, "ga{"update": 4, "gap": 1}',
    "[" * 100_000,
    "\0" * 40,
    '\0\0{"update": 3}',
    "",
]


@pytest.mark.parametrize("cut", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_line_is_skipped_with_a_warning_wherever_it_is(tmp_path, cut):
    place = written(tmp_path, lines({"update": 1}, {"update": 2}) + cut)
    for number in (3, 2):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            assert read_metrics(place)["update"].tolist() == [1, 2]
        said = f"{place / 'metrics.jsonl'}: lines that were cut off or damaged are skipped: {number}"
        assert [str(one.message) for one in warned] == ([said] if cut or number == 2 else [])
        assert last_update(place) == 2
        assert not has_diverged(place)
        written(place, lines({"update": 1}) + cut + "\n" + lines({"update": 2}))
    rewrite_metrics(place, 2, [])
    assert (place / "metrics.jsonl").read_text() == lines({"update": 1}, {"update": 2})


def test_a_letter_that_was_cut_in_two_damages_its_line_only(tmp_path):
    whole, cut = lines({"update": 1}).encode(), '{"update": 2, "ä'.encode()[:-1]
    (tmp_path / "metrics.jsonl").write_bytes(whole + cut + b"\n" + whole.replace(b"1", b"2"))
    with pytest.warns(UserWarning, match="damaged are skipped: 2$"):
        assert read_metrics(tmp_path)["update"].tolist() == [1, 2]
    rewrite_metrics(tmp_path, 1, [])
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole


def test_empty_and_missing_metrics_are_refused(tmp_path):
    refused(r"cannot read .*metrics.jsonl: No such file", read_metrics, tmp_path)
    refused("has no values yet", read_metrics, written(tmp_path, ""))


def moving(steps=400, delay=3):
    """A white gap, and a gradient that is the same one `delay` updates later."""
    noise = torch.randn(steps + delay, generator=rng(), dtype=torch.float64)
    gradient = noise[:steps]
    return {"gap": noise[delay:], "start_gradient": gradient + 5, "end_gradient": gradient - 1}


def test_cross_correlation_peaks_only_at_the_true_delay():
    found = correlations(moving(), lags=10)
    assert found.lags.tolist() == list(range(-10, 11))
    assert found.cross.argmax() == 10 + 3
    assert found.cross[13] > 0.95
    others = torch.cat([found.cross[:13], found.cross[14:]])
    assert others.abs().max() < Z / math.sqrt(400)
    assert found.gap.shape == found.gradient.shape == (11,)
    assert found.gap[0] == found.gradient[0] == 1
    assert found.gap[1:].abs().max() < Z / math.sqrt(400)


def test_an_alternating_gap_has_autocorrelation_minus_one():
    sign = torch.tensor([1.0, -1.0] * 500, dtype=torch.float64)
    found = correlations({"gap": sign, "start_gradient": sign, "end_gradient": sign}, lags=2)
    torch.testing.assert_close(found.gap, torch.tensor([1, -0.999, 0.998], dtype=torch.float64))
    torch.testing.assert_close(found.cross, found.gap[[2, 1, 0, 1, 2]])


def test_cross_correlation_equals_its_definition():
    a, b = torch.randn(2, 7, generator=rng(), dtype=torch.float64)
    found = cross_correlation(a, b, 6)
    scale = 7 * a.std(correction=0) * b.std(correction=0)
    for lag in range(-6, 7):
        pairs = [(a[i] - a.mean()) * (b[i + lag] - b.mean()) for i in range(7) if 0 <= i + lag < 7]
        torch.testing.assert_close(found[6 + lag], sum(pairs) / scale)


def test_constant_or_nonfinite_series_have_no_correlation():
    a = torch.arange(5.0)
    for b in (torch.full((5,), 0.1), torch.tensor([1.0, math.nan, 2, 3, 4])):
        assert cross_correlation(a, b, 2).isnan().all()
        assert cross_correlation(b, a, 2).isnan().all()


def test_correlations_need_gradients_and_enough_lines():
    refused("no gradients of the chain", correlations, {"gap": torch.rand(9)})
    refused("lags must be at least 1", correlations, moving(), lags=0)
    refused("at least 4 steps", correlations, moving(3))
    assert len(correlations(moving(6), lags=50).gap) == 6
