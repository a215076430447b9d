"""Training from Python: the same folder, watchers, resume and refusals as on the command line."""

import os
import signal
import threading
from itertools import islice

import pytest
import torch
from training_runs import BASE, assert_same_run, metrics, state_of, trained

from ebmkit import Diverged, Interrupted, UsageError
from ebmkit.config import resolve
from ebmkit.runs import new_run, resume_run, train

pytestmark = pytest.mark.usefixtures("built_in_parts_only")
SETTINGS = {
    "energy": {"width": 4},
    "sampler": {"steps": 3},
    "train": {"batch_size": 8, "iterations": 4, "device": "cpu"},
    "watch": {"pictures": {"every": 0}},
}


def more(iterations):
    return {"train": {"iterations": iterations}}


def test_settings_train_as_the_command_line_does(tmp_path):
    indices = [update.index for update in train(SETTINGS, folder=tmp_path / "python")]
    trained(tmp_path / "typed", {**BASE, "train.iterations": "4"})
    assert indices == [1, 2, 3, 4]
    assert_same_run(tmp_path / "python", tmp_path / "typed")


def test_a_loop_that_is_left_early_can_be_resumed(tmp_path):
    list(train(SETTINGS, folder=tmp_path / "straight"))
    for update in train(SETTINGS, folder=tmp_path / "left"):
        if update.index == 2:
            break
    assert state_of(tmp_path / "left")["trainer"]["index"] == 2
    assert [update.index for update in train(resume=tmp_path / "left")] == [3, 4]
    assert_same_run(tmp_path / "straight", tmp_path / "left")


def test_a_finished_run_is_resumed_with_more_updates(tmp_path):
    list(train(SETTINGS, folder=tmp_path / "a"))
    assert [update.index for update in train(more(6), resume=tmp_path / "a")] == [5, 6]
    assert [line["update"] for line in metrics(tmp_path / "a")] == [1, 2, 3, 4, 5, 6]


def test_a_recipe_can_be_trained(tmp_path):
    run = new_run(resolve([]).with_value("train", "iterations", 1, "test"), tmp_path / "a")
    assert run.status == "ready"
    list(islice(run.train(), 1))
    assert run.folder == tmp_path / "a"


def test_a_run_says_how_it_ended(tmp_path):
    run = new_run(SETTINGS, tmp_path / "done")
    updates = run.train()
    assert run.status == "running"
    list(updates)
    assert run.status == "done"
    left = new_run(SETTINGS, tmp_path / "left")
    updates = left.train()
    next(updates)
    updates.close()
    assert left.status == "interrupted"
    broken = new_run({**SETTINGS, "optimizer": {"lr": 1e30}}, tmp_path / "broken")
    with pytest.raises(Diverged, match="the last checkpoint is"):
        list(broken.train())
    assert broken.status == "diverged"


def test_an_exception_of_the_loop_marks_the_run_as_failed(tmp_path, monkeypatch):
    run = new_run(SETTINGS, tmp_path / "a")
    monkeypatch.setattr(run.trainer, "update", lambda batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(run.train())
    assert run.status == "failed"


def with_signal_after(updates, last):
    for update in updates:
        if update.index == last:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_ends_the_loop_after_its_update(tmp_path):
    lines = []
    run = new_run(SETTINGS, tmp_path / "a")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=r"stopped after update 2; resume with: ebmkit train --resume .*a"):
        with_signal_after(run.train(announce=lines.append), 2)
    assert signal.getsignal(signal.SIGTERM) is before
    assert lines == ["stopping after this update; a second signal stops at once"]
    assert run.status == "interrupted"
    assert state_of(tmp_path / "a")["trainer"]["index"] == 2


def test_a_run_can_be_trained_in_another_thread(tmp_path):
    thread = threading.Thread(target=lambda: list(train(SETTINGS, folder=tmp_path / "a")))
    thread.start()
    thread.join()
    assert state_of(tmp_path / "a")["trainer"]["index"] == 4


def test_bad_settings_are_refused_as_on_the_command_line(tmp_path):
    for settings, message in (
        ({"sampler": {"stepsize": 1}}, "sampler has no setting 'stepsize'.* Did you mean 'step_size'"),
        ({"samplr": {}}, "settings: unknown section 'samplr'. Did you mean 'sampler'"),
        ({"steps": 3}, "'steps' stands outside a section"),
        ({"watch": 3}, "watch takes sections"),
        ({"sampler": {"steps": "ten"}}, "sampler.steps must be int, not 'ten'"),
    ):
        with pytest.raises(UsageError, match=message):
            train(settings, folder=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    list(train(SETTINGS, folder=tmp_path / "a"))
    with pytest.raises(UsageError, match="stays in its own folder: leave out `folder`"):
        train(resume=tmp_path / "a", folder=tmp_path / "b")
    with pytest.raises(UsageError, match=r"sampler\.steps was 3, now 5"):
        train({"sampler": {"steps": 5}}, resume=tmp_path / "a")
    with pytest.raises(UsageError, match="sections of settings, not a recipe"):
        resume_run(tmp_path / "a", resolve([]))


def test_training_from_python_keeps_the_global_random_state(tmp_path):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    list(train(SETTINGS, folder=tmp_path / "a"))
    assert torch.equal(torch.random.get_rng_state(), before)
