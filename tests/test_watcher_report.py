"""The watcher that writes the report of a run."""

import numpy as np
import pytest
import torch
from report_pages import Page, examples, rng, trainer

from ebmkit.errors import UsageError
from ebmkit.pictures import grid
from ebmkit.report import figures
from ebmkit.shortrun import ShortRun
from ebmkit.testing import Subject, checks
from ebmkit.watchers import write_metrics, write_report

CHECKS = checks("watcher")


@pytest.fixture
def no_plots(monkeypatch):
    """No plots, which take most of the time of a page."""
    monkeypatch.setattr(figures, "plot", lambda draw, **texts: "<svg></svg>")


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.usefixtures("no_plots")
def test_the_watcher_passes_the_test_kit(check):
    check(Subject("watcher", write_report, {"every": 3, "count": 4, "chains": 2, "reconstruction_updates": 2}))


def watched(folder, training, iterations, **settings):
    """A run of some updates, with its metrics and its reports."""
    data = examples()
    updates = (training.update(data.fetch(torch.arange(6))) for _ in range(iterations))
    logged = write_metrics(updates, training, folder)
    settings = {"count": 4, "chains": 2, "reconstruction_updates": 1} | settings
    assert len(list(write_report(logged, training, folder, data, iterations, **settings))) == iterations


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"every": 2}, [(2, False), (4, False), (5, True)]),
        ({"every": 2, "full": "always"}, [(2, True), (4, True), (5, True)]),
        ({"every": 2, "full": "never"}, [(2, False), (4, False), (5, False)]),
        ({"every": 0}, []),
        ({"every": 5}, [(5, True)]),
        ({}, [(n, n == 5) for n in range(1, 6)]),
        ({"iterations": 30}, [(n, n == 30) for n in range(3, 31, 3)]),
    ],
)
def test_every_nth_and_the_last_update_are_reported(tmp_path, monkeypatch, settings, expected):
    written = []
    monkeypatch.setattr(
        "ebmkit.watchers.report.write_page",
        lambda *given, full, **_: written.append((training.index, full)),
    )
    watched(tmp_path, training := trainer(), **{"iterations": 5} | settings)
    assert written == expected


def test_the_report_shows_the_averaged_model(tmp_path):
    training = trainer()
    watched(tmp_path, training, 4, every=4, full="never")
    found = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Training" not in found.omitted
    short = ShortRun(training.model, training.sampler, training.init)
    assert training.model is not training.energy
    shown = found.pictures("Samples beside real examples")[1][1]
    assert np.array_equal(shown, np.asarray(grid(short.sample(4, rng()), 8)))


def test_settings_out_of_range_are_refused_at_the_call(tmp_path):
    for given in ({"every": -1}, {"count": 1}, {"chains": 0}, {"chains": 65}, {"reconstruction_updates": 0}):
        with pytest.raises(UsageError, match=next(iter(given))):
            write_report(iter(()), trainer(), tmp_path, examples(), 5, **given)
