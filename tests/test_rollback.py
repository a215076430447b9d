"""Runs that are rolled back where they diverge."""

import json
import re
import shutil
from itertools import islice

import pytest
from diverging_runs import ROLLBACK, TURN, files, planted, quiet, toy, until_rolled_back
from training_runs import assert_same_run, metrics, state_of

from ebmkit.errors import Diverged, Notice, UsageError
from ebmkit.evaluation.training_curves import read_events, read_metrics
from ebmkit.runs.training import new_run, resume_run

pytestmark = [pytest.mark.usefixtures("built_in_parts_only"), quiet]
ALARM = TURN + 3  # the median of five
BACK = 20  # the last kept checkpoint that is at least 50 updates older than the alarm


def rolled(place, **changes):
    run = new_run(planted(**{"train__on_divergence": "rollback", **changes}), place)
    list(run.train())
    return run


def test_a_run_goes_back_to_before_the_turn_and_ends(tmp_path):
    with pytest.warns(Notice, match=rf"diverged at update {ALARM}: .* rolled back to update {BACK}, .* rate 0\.0005"):
        run = rolled(tmp_path / "a")
    assert run.status == "done"
    assert [line["update"] for line in metrics(tmp_path / "a") if "event" not in line] == list(range(1, 101))
    assert run.trainer.optimizer.param_groups[0]["lr"] == 5e-4


def test_the_event_is_in_metrics_and_checkpoint(tmp_path):
    run = rolled(tmp_path / "a")
    (event,) = read_events(tmp_path / "a")
    assert event == run.events[0] == state_of(tmp_path / "a")["events"][0]
    assert (event["event"], event["update"], event["to_update"], event["lr"]) == ("rollback", ALARM, BACK, 5e-4)
    assert event["gradient_penalty"] == run.trainer.gradient_penalty == 1.0
    assert resume_run(tmp_path / "a", {"train": {"iterations": 101}}).trainer.gradient_penalty == 1.0
    assert event["reason"].startswith(f"diverged at update {ALARM}: ")
    assert len(read_metrics(tmp_path / "a")["update"]) == 100
    kinds = [json.loads(line).get("event") for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert kinds.index("rollback") == BACK


@pytest.mark.parametrize("stop", [30, 77])
def test_a_run_stopped_before_the_turn_is_the_same(tmp_path, stop):
    rolled(tmp_path / "straight")
    run = new_run(planted(**{"train__on_divergence": "rollback"}), tmp_path / "stopped")
    updates = run.train()
    list(islice(updates, stop))
    updates.close()
    list(resume_run(tmp_path / "stopped").train())
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_a_run_stopped_after_the_rollback_is_the_same(tmp_path):
    rolled(tmp_path / "straight")
    run = new_run(planted(**{"train__on_divergence": "rollback"}), tmp_path / "stopped")
    updates = until_rolled_back(run)
    assert run.trainer.index == BACK + 1
    list(islice(updates, 6))
    shutil.copytree(tmp_path / "stopped", tmp_path / "killed")
    updates.close()
    for name in ("stopped", "killed"):
        list(resume_run(tmp_path / name).train())
        assert_same_run(tmp_path / "straight", tmp_path / name)


def test_the_chains_get_another_seed_and_the_batches_not(tmp_path):
    run = new_run(planted(**{"train__on_divergence": "rollback", "watch__checkpoints__every": "0"}), tmp_path / "a")
    until_rolled_back(run)
    first = new_run(toy(), tmp_path / "b")
    update = next(iter(first.updates()))
    assert run.trainer.index == 1
    line = metrics(tmp_path / "a")[-1]
    assert line["real_energy"] == update.scalars["real_energy"]
    assert line["fake_energy"] != update.scalars["fake_energy"]


def test_each_rollback_lowers_the_rate_until_none_is_left(tmp_path):
    changes = {"watch__steepen__above": "0.0", "train__rollbacks": "2", "train__rollback_factor": "0.1"}
    with pytest.raises(Diverged, match=r"from update 20, .* -s train\.gradient_penalty=100 -s optimizer\.lr=2e-06"):
        rolled(tmp_path / "a", **changes)
    events = read_events(tmp_path / "a")
    assert [event["event"] for event in events] == ["rollback", "rollback", "diverged"]
    assert [event["lr"] for event in events[:2]] == pytest.approx([1e-4, 1e-5])
    penalties = [re.search(r"try train\.gradient_penalty=(\d+)", event["reason"])[1] for event in events]
    assert penalties == ["1", "10", "100"]
    assert files(tmp_path / "a") == {"checkpoint.pt", "checkpoint-previous.pt", "checkpoint-before.pt"}


def test_without_the_setting_nothing_is_rolled_back(tmp_path):
    run = new_run(planted(), tmp_path / "a")
    with pytest.raises(Diverged):
        list(run.train())
    assert run.status == "diverged"
    assert run.events == []


def test_weights_that_are_not_finite_are_rolled_back_too(tmp_path):
    changes = {"watch__divergence__every": "0", "watch__steepen__to": "inf"}
    assert rolled(tmp_path / "a", **changes).status == "done"
    assert read_events(tmp_path / "a")[0]["reason"].startswith("diverged at update 80: the weights are not finite")


@pytest.mark.parametrize(("key", "value"), [("rollbacks", -1), ("rollback_factor", 0.0), ("rollback_factor", 1.5)])
def test_settings_out_of_range_are_refused(key, value):
    with pytest.raises(UsageError, match=f"train.{key} must be"):
        new_run({"train": {key: value}})


def test_a_loop_that_is_left_is_not_rolled_back(tmp_path):
    changes = {**ROLLBACK, "watch.divergence.every": "0", "watch.steepen.at": "3", "watch.steepen.to": "inf"}
    run = new_run(planted(**{key.replace(".", "__"): value for key, value in changes.items()}), tmp_path / "a")
    updates = run.train()
    list(islice(updates, 5))
    with pytest.raises(Diverged):
        updates.close()
    assert run.status == "diverged"
