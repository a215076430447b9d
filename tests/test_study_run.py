"""The cells of a study: ordinary runs and evaluations, which end, diverge, fail, stop and go on."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from studies import SETTINGS, finished, small, without_times
from training_runs import assert_same_run

from ebmkit.claims import claim
from ebmkit.errors import Interrupted, Notice, UsageError
from ebmkit.registry.lookup import register
from ebmkit.runs.checkpoint import Checkpoint
from ebmkit.runs.evaluations import write_evaluation
from ebmkit.runs.model import open_model
from ebmkit.runs.training import new_run
from ebmkit.study.folder import Study

pytestmark = pytest.mark.usefixtures("empty_folder")
CELLS = 4


def test_a_cell_is_the_run_that_its_settings_make(capsys):
    from commands import invoked

    study, results = finished("a")
    assert [result.status for result in results] == ["done"] * CELLS
    cell = study.cells[3]
    list(new_run(cell.recipe, "plain").train())
    assert_same_run(study.place(cell), study.folder.parent / "plain")
    by_study = json.loads((study.place(cell) / "evaluation.json").read_text())["measures"]
    stdout, _ = invoked("evaluate", "plain", "-n", 30, "--json")
    assert json.loads(stdout)["measures"] == by_study == [dict(one) for one in results[3].measures]


def test_the_results_are_read_back_as_they_were():
    study, results = finished("a")
    assert [study.result(cell) for cell in study.cells] == results
    assert list(study.run()) == []
    assert [study.result(cell) for cell in study.cells] == results
    assert list((study.folder / "claims").iterdir()) == []


def test_passes_and_updates_are_counted():
    _, results = finished("a")
    assert [(result.updates, result.passes) for result in results[:2]] == [(3, 3 * 4), (3, 3 * 5)]
    assert all(result.seconds > 0 and result.evaluation_seconds > 0 for result in results)


def test_a_checkpoint_never_lacks_the_cost_of_its_updates(monkeypatch):
    """However early a process is killed after it has written a checkpoint, a resumed cell knows all of its passes."""
    write, checked = Checkpoint.write, []

    def checked_write(self, folder):
        lines = [json.loads(line) for line in (folder / "cost.jsonl").read_text().splitlines()]
        checked.append(lines[-1]["update"] == self.updates)
        write(self, folder)

    monkeypatch.setattr(Checkpoint, "write", checked_write)
    finished("a", seeds=1, **{"watch.checkpoints": {"every": 1}})
    assert checked == [True] * 6


def test_added_seeds_and_values_are_the_only_new_work():
    finished("a", seeds=1)
    study, results = finished("a", vary={"sampler.steps": [2, 3, 4]}, seeds=2)
    names = ["steps=4,seed=0", "steps=2,seed=1", "steps=3,seed=1", "steps=4,seed=1"]
    assert [result.cell for result in results] == names
    assert len(study.cells) == 6


def test_a_cell_that_diverges_is_a_result():
    study, results = finished("a", vary={"optimizer.lr": [0.01, 1e30]})
    assert [(one.status, one.updates) for one in results] == [("done", 3), ("diverged", 2)] * 2
    assert results[1].error.startswith("diverged at update 2: ")
    assert (results[1].measures, results[1].passes) == ((), 2 * 100 + 2 * 2)
    assert list(study.run()) == []
    good, bad = study.rows()
    assert (good.done, good.diverged, good.updates) == (2, (), (3, 3))
    assert (bad.done, bad.diverged, bad.updates, bad.scores) == (0, (2, 2), (2, 2), {})


def test_a_cell_that_fails_is_tried_again_later():
    broken = [2]

    def breaking(updates, trainer):
        if trainer.sampler.steps in broken:
            raise UsageError("broken\nas planned")
        return updates

    register("watcher", "breaking", breaking)
    study = small("a", seeds=1, **{"watch.breaking": {}})
    failed, good = study.run()
    assert (failed.status, good.status) == ("failed", "done")
    assert "broken as planned" in failed.error
    assert study.rows()[0].failed == 1
    broken.clear()
    assert [(one.cell, one.status) for one in study.run()] == [("steps=2,seed=0", "done")]
    assert study.rows()[0].failed == 0


def test_an_unexpected_error_of_a_cell_keeps_its_traceback(monkeypatch):
    def broken(*arguments, **settings):
        raise RuntimeError("no memory\nleft")

    monkeypatch.setattr("ebmkit.study.work.evaluate_model", broken)
    _, (result, *_) = finished("a", seeds=1)
    assert (result.status, result.error) == ("failed", "RuntimeError: no memory left")
    assert "in broken" in result.trace


def test_a_cell_on_a_full_disk_fails_with_the_name_of_the_file(monkeypatch):
    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ebmkit.study.cost.json_line", full)
    _, (result, *_) = finished("a", seeds=1)
    assert result.status == "failed"
    assert result.error.startswith("cannot write a/cells/steps=2,seed=0/cost.jsonl: No space left on device")
    assert result.trace == ""


def test_a_failure_of_another_process_is_not_tried_again(monkeypatch):
    from ebmkit.study.results import Result, write_result

    study = small("a", seeds=1)
    results = study.run()
    next(results)
    write_result(study.folder, Result("steps=3,seed=0", "failed", 0, 0, 0.0, error="of another process"))
    assert list(results) == []


def test_what_an_evaluation_needs_is_checked_before_training():
    study = Study("a", SETTINGS, vary={"sampler.steps": [2, 3]}, seeds=1, n=41)
    results = list(study.run())
    assert [(one.status, one.updates) for one in results] == [("failed", 0)] * 2
    assert "n must be from 20 to 40" in results[0].error
    assert list((study.folder / "cells").iterdir()) == []


@pytest.fixture
def signals():
    """The signals that this process gets after the second update of a run; each is sent once."""
    pending = []

    def signalled(updates):
        for update in updates:
            if update.index == 2 and pending:
                signal.raise_signal(pending.pop())
            yield update

    register("watcher", "signalled", signalled)
    return pending


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_study_after_the_update(number, signals):
    whole, _ = finished("b", **{"watch.signalled": {}})
    signals.append(number)
    study = small("a", **{"watch.signalled": {}})
    with pytest.raises(Interrupted, match=r"^steps=2,seed=0 stopped after update 2; go on with: ebmkit study a$"):
        list(study.run())
    assert list((study.folder / "claims").iterdir()) == []
    assert list((study.folder / "results").iterdir()) == []
    assert len(list(Study("a").run())) == CELLS
    assert without_times(Study("a")) == without_times(whole)
    assert_same_run(study.place(study.cells[0]), whole.place(whole.cells[0]))


def test_a_study_whose_data_have_moved_goes_on_where_they_are_now(signals):
    rows = torch.randn(80, 2, generator=torch.Generator().manual_seed(0)).numpy()
    for name, values in {"rows": rows, "other": 2 * rows}.items():
        np.save(f"{name}.npy", values)
    signals.append(signal.SIGINT)
    settings = {**SETTINGS, "data": {"use": "arrays", "path": "rows.npy"}, "watch.signalled": {}}
    study = Study("a", settings, vary={"sampler.steps": [2, 3]}, seeds=1, n=30)
    with pytest.raises(Interrupted):
        list(study.run())
    Path("rows.npy").rename("moved.npy")
    assert "no such file" in next(Study("a").run()).error
    plan = Path("a/study.toml")
    text = plan.read_text(encoding="utf-8")
    plan.write_text(text.replace("rows.npy", "other.npy"), encoding="utf-8")
    assert next(Study("a").run()).error.startswith("these are not the data of the run")
    plan.write_text(text.replace("rows.npy", "moved.npy"), encoding="utf-8")
    assert [one.status for one in Study("a").run()] == ["done"] * 2


def test_a_signal_during_an_evaluation_stops_before_the_next(monkeypatch):
    def signalled(*arguments):
        signal.raise_signal(signal.SIGINT)
        return write_evaluation(*arguments)

    monkeypatch.setattr("ebmkit.study.work.write_evaluation", signalled)
    study = small("a")
    with pytest.raises(Interrupted, match=r"^stopped before steps=3,seed=0; go on with: ebmkit study a$"):
        list(study.run())
    assert [study.result(cell) is not None for cell in study.cells] == [True] + [False] * (CELLS - 1)


def test_a_folder_without_a_checkpoint_is_made_again():
    study = small("a")
    study.place(study.cells[0]).mkdir(parents=True)
    (study.place(study.cells[0]) / "config.toml").touch()
    assert [one.status for one in study.run()] == ["done"] * CELLS


def test_a_cell_that_lost_its_newest_checkpoint_is_resumed_from_the_one_before():
    study = small("a", seeds=1)
    study.save()
    place = study.place(study.cells[0])
    list(new_run(study.cells[0].recipe, place).train())
    (place / "checkpoint.pt").unlink()
    with pytest.warns(Notice, match=r"checkpoint-previous\.pt is used, of update 1, without the last 2 updates$"):
        assert next(study.run()).status == "done"
    assert [one["from_update"] for one in json.loads((place / "env.json").read_text())["resumed"]] == [1]


def test_a_trained_cell_is_only_evaluated():
    study = small("a", seeds=1)
    study.save()
    list(new_run(study.cells[0].recipe, study.place(study.cells[0])).train())
    before = (study.place(study.cells[0]) / "env.json").read_text()
    (result, *_) = list(study.run())
    assert (result.status, result.updates) == ("done", 3)
    assert (study.place(study.cells[0]) / "env.json").read_text() == before
    assert open_model(study.place(study.cells[0])).saved.updates == 3


def test_a_claimed_cell_is_left_to_its_process():
    study = small("a", seeds=1)
    study.save()
    with claim(study.folder / "claims" / study.cells[1].name):
        results = [result.cell for result in study.run()]
    assert results == [study.cells[0].name]
    assert list(study.busy) == [study.cells[1].name]
    assert [result.cell for result in study.run()] == [study.cells[1].name]


def test_one_cell_can_be_worked_on():
    study = small("a")
    assert [one.cell for one in study.run(only=study.cells[2])] == [study.cells[2].name]


def test_a_damaged_result_is_refused_with_its_file():
    study, _ = finished("a", seeds=1)
    (study.folder / "results" / "steps=2,seed=0.json").write_text("{")
    with pytest.raises(UsageError, match=r"cannot use .*steps=2,seed=0.json; remove it"):
        study.rows()
