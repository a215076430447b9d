"""The watcher that writes metrics.jsonl."""

import math

import pytest
from small_trainings import lines, made_up, trainer, updates_of

from ebmkit.samplers.hmc import HMC
from ebmkit.watchers import scalars_of, write_metrics


def test_every_update_has_a_line_with_its_scalars(tmp_path):
    training = trainer()
    updates = list(write_metrics(updates_of(training, 3), training, tmp_path))
    for line, update in zip(lines(tmp_path), updates, strict=True):
        assert line["update"] == update.index
        assert {key: line[key] for key in scalars_of(update)} == scalars_of(update)
        assert line["noise_size"] == pytest.approx(0.01 * math.sqrt(64))
        assert line["seconds_per_update"] > 0
        assert {"gap", "start_gradient", "end_gradient", "displacement", "gradient_norm"} <= set(line)


def test_lines_of_hmc_contain_the_acceptance_rate(tmp_path):
    training = trainer(HMC(steps=2, leapfrog=2))
    list(write_metrics(updates_of(training, 2), training, tmp_path))
    assert all(0 <= line["accepted"] <= 1 and line["nonfinite"] == 0 for line in lines(tmp_path))
    assert "noise_size" not in lines(tmp_path)[0]


@pytest.mark.parametrize(("every", "indices"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4])])
def test_every_nth_update_is_written(every, indices, tmp_path):
    list(write_metrics(map(made_up, range(1, 6)), trainer(), tmp_path, every=every))
    assert [line["update"] for line in lines(tmp_path)] == indices


def test_a_line_is_on_disk_when_its_update_is_yielded(tmp_path):
    updates = write_metrics(map(made_up, range(1, 6)), trainer(), tmp_path)
    for index in (1, 2):
        next(updates)
        assert len(lines(tmp_path)) == index


def test_lines_are_appended(tmp_path):
    list(write_metrics(map(made_up, [1, 2]), trainer(), tmp_path))
    list(write_metrics(map(made_up, [3]), trainer(), tmp_path))
    assert [line["update"] for line in lines(tmp_path)] == [1, 2, 3]
