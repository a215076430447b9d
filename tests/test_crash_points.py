"""A run that is killed between two writes, wherever it is, ends bitwise as it would have without that."""

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from diverging_runs import TOY, quiet, toy
from planted_causes import Pictures, plant
from test_damaged_files import spoil
from training_runs import assert_same_run, metrics, same, state_of

from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.errors import Diverged, UsageError
from ebmkit.evaluation.training_curves import METRICS, read_events
from ebmkit.registry.lookup import register
from ebmkit.runs import diverging
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.newest import is_saved
from ebmkit.runs.training import new_run, resume_run

pytestmark = quiet
SHORT = {**TOY, "train.iterations": "16", "watch.checkpoints.every": "3", "energy.width": "4"}


@pytest.fixture(autouse=True)
def sound_at_once(monkeypatch, built_in_parts_only):
    """A checkpoint counts as one from before the turn after 3 updates in place of 50."""
    monkeypatch.setattr(diverging, "SOUND", 3)
    register("watcher", "plant", plant)


def recipe(policy: str, cause: str = "weights", **more: str) -> Any:
    """A run of 16 updates whose 11th is spoiled."""
    settings = {**SHORT, "train.on_divergence": policy, "watch.plant.cause": cause, **more}
    return resolve([typed(f"{key}={value}" for key, value in settings.items())])


def finish(place: Path, changes: dict[str, Any] | None = None) -> str:
    """Resume a run to its end, or begin it again if it was killed before it was begun; the message if it diverges."""
    run = resume_run(place, changes)
    updates = run.train()
    lines = [line["update"] for line in metrics(place) if "event" not in line] if (place / METRICS).exists() else []
    assert lines == list(range(1, run.trainer.index + 1)), "the metrics are those of the state"
    try:
        list(updates)
    except Diverged as error:
        return str(error).replace(str(place), "PLACE")
    return ""


def resumable(place: Path) -> bool:
    """Whether a run has begun: before, there is nothing to lose."""
    return is_saved(place) or (place / "checkpoint-before.pt").is_file()


def same_checkpoints(one: Path, other: Path) -> bool:
    """Whether two folders have the same states to go back to."""
    return same(
        vars(read_checkpoint(one, "checkpoint-before.pt")), vars(read_checkpoint(other, "checkpoint-before.pt"))
    )


def test_a_rollback_that_is_killed_anywhere(tmp_path):
    pictures = Pictures(tmp_path / "a", tmp_path / "killed")
    with pictures.before_each_write():
        list(new_run(recipe("rollback"), tmp_path / "a").train())
    assert [event["to_update"] for event in read_events(tmp_path / "a")] == [6]
    resumed = [place for place in pictures if resumable(place)]
    assert len(resumed) > 20
    for place in resumed:
        assert finish(place) == ""
        assert_same_run(place, tmp_path / "a")
        assert same_checkpoints(place, tmp_path / "a")


def test_a_divergence_that_is_killed_anywhere(tmp_path):
    pictures = Pictures(tmp_path / "a", tmp_path / "killed")
    with pictures.before_each_write(), pytest.raises(Diverged) as raised:
        list(new_run(recipe("stop"), tmp_path / "a").train())
    message = str(raised.value).replace(str(tmp_path / "a"), "PLACE")
    assert "to go on from update 6, before the turn" in message
    for place in filter(resumable, pictures):
        assert finish(place) == message
        assert same_checkpoints(place, tmp_path / "a")
        assert same(state_of(place)["trainer"], state_of(tmp_path / "a")["trainer"])
        # Only the last was resumed after it had diverged.
        assert [event["event"] for event in read_events(place)][-1] == "diverged"


def test_a_run_that_is_resumed_from_before_its_divergence_is_killed_anywhere(tmp_path):
    with pytest.raises(Diverged):
        list(new_run(recipe("stop"), tmp_path / "a").train())
    pictures, changes = Pictures(tmp_path / "a", tmp_path / "killed"), {"optimizer": {"lr": 3e-4}}
    run = resume_run(tmp_path / "a", changes)
    with pictures.before_each_write():
        for update in run.train():
            if update.index < 9:
                pictures.take()
    assert run.status == "done"
    assert [line["update"] for line in metrics(tmp_path / "a") if "event" not in line] == list(range(1, 17))
    assert [event["event"] for event in read_events(tmp_path / "a")] == ["diverged", "resumed"]
    for place in pictures:
        resume_run(place)  # also without the change: until it is written, the run is as it was
        assert finish(place, changes) == ""
        assert_same_run(place, tmp_path / "a")


def test_the_one_before_is_never_of_updates_that_were_left(tmp_path):
    """A run that goes back, and whose newest checkpoint is then damaged, does not return to where it turned."""
    with pytest.raises(Diverged):
        list(new_run(recipe("stop"), tmp_path / "a").train())
    run = resume_run(tmp_path / "a", {"optimizer": {"lr": 3e-4}})
    updates = run.train()
    next(updates)
    shutil.copytree(tmp_path / "a", tmp_path / "killed")
    list(updates)
    spoil(tmp_path / "killed" / "checkpoint.pt")
    assert finish(tmp_path / "killed") == ""
    assert_same_run(tmp_path / "killed", tmp_path / "a")


def test_without_metrics_a_run_is_resumed_from_before_its_divergence_only_once(tmp_path):
    with pytest.raises(Diverged):
        list(new_run(recipe("stop", **{"watch.metrics.every": "0"}), tmp_path / "a").train())
    changes = {"optimizer": {"lr": 3e-4}}
    list(resume_run(tmp_path / "a", changes).train())
    assert resume_run(tmp_path / "a", {"train": {"iterations": 20}}).trainer.index == 16


def test_going_back_to_the_checkpoint_before_is_killed_anywhere(tmp_path):
    plain = {key: value for key, value in SHORT.items() if not key.startswith("watch.plant")}
    list(new_run(toy(plain), tmp_path / "straight").train())
    shutil.copytree(tmp_path / "straight", tmp_path / "a")
    spoil(tmp_path / "a" / "checkpoint.pt")
    pictures = Pictures(tmp_path / "a", tmp_path / "killed")
    with pictures.before_each_write():
        finish(tmp_path / "a")
    assert_same_run(tmp_path / "a", tmp_path / "straight")
    for place in pictures:
        if read_checkpoint_or_none(place) != 16:
            finish(place)
        assert_same_run(place, tmp_path / "straight")


def read_checkpoint_or_none(place: Path) -> int | None:
    """The updates of the newest checkpoint; None if it is damaged or missing."""
    try:
        return read_checkpoint(place).updates
    except UsageError:
        return None


@pytest.mark.parametrize("harmed", ["checkpoint.pt", "checkpoint-next.pt"])
def test_after_a_rollback_a_damaged_checkpoint_does_not_change_the_end(tmp_path, harmed):
    list(new_run(recipe("rollback"), tmp_path / "straight").train())
    run = new_run(recipe("rollback"), tmp_path / "a")
    updates = run.train()
    for _ in updates:
        if run.events:
            shutil.copytree(tmp_path / "a", tmp_path / "killed")
            break
    updates.close()
    spoil(tmp_path / "killed" / harmed)
    assert finish(tmp_path / "killed") == ""
    assert_same_run(tmp_path / "killed", tmp_path / "straight")


@pytest.mark.parametrize("policy", ["stop", "rollback"])
def test_without_a_way_back_a_divergence_still_ends_in_its_line(tmp_path, policy):
    updates = new_run(recipe(policy), tmp_path / "a").train()
    list(islice(updates, 10))
    spoil(tmp_path / "a" / "checkpoint-before.pt")
    with pytest.raises(Diverged) as raised:
        list(updates)
    assert str(raised.value).endswith(f"; the last checkpoint is {tmp_path / 'a' / 'checkpoint.pt'}")
    with pytest.raises(UsageError, match=r"remove it to resume from .*, which may be from after the turn$"):
        resume_run(tmp_path / "a")


@pytest.mark.parametrize("policy", ["stop", "rollback"])
@pytest.mark.parametrize("cause", ["weights", "batch", "rate"])
def test_a_planted_cause_and_a_kill_between_any_two_updates(tmp_path, policy, cause):
    """The folder is copied after a few updates of a run that goes on, and the copies are resumed."""
    pictures, message = Pictures(tmp_path / "a", tmp_path / "killed"), ""
    run = new_run(recipe(policy, cause), tmp_path / "a")
    try:
        for number, _ in enumerate(run.train()):
            if number % 5 == 2:
                pictures.take()
    except Diverged as error:
        message = str(error).replace(str(tmp_path / "a"), "PLACE")
    for place in pictures:
        assert finish(place) == message
        assert_same_run(place, tmp_path / "a")
