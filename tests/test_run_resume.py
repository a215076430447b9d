"""Resumed runs: bitwise the same as straight ones, and what may change."""

import shutil
from itertools import islice

import numpy as np
import pytest
import torch
from training_runs import HMC, assert_same_run, begun, metrics, recipe, resumed, same, state_of, trained

from ebmkit.acceleration import choice
from ebmkit.config.layers import typed
from ebmkit.errors import UsageError
from ebmkit.runs.training import new_run, resume_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


@pytest.mark.parametrize("sampler", [{}, HMC], ids=["langevin", "hmc"])
@pytest.mark.parametrize("init", ["uniform", "replay", "data"])
def test_stopped_and_resumed_is_bitwise_a_straight_run(tmp_path, sampler, init):
    changes = {**sampler, "init.use": init, "train.average": "0.9", "train.energy_l2": "0.01"}
    changes |= {"init.size": "50", "init.restart": "0.2"} if init == "replay" else {}
    trained(tmp_path / "straight", changes)
    trained(tmp_path / "stopped", {**changes, "train.iterations": "10"})
    assert state_of(tmp_path / "stopped")["trainer"]["index"] == 10
    resumed(tmp_path / "stopped", "train.iterations=20")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    assert [line["update"] for line in metrics(tmp_path / "straight")] == list(range(1, 21))


def test_schedules_resume_bitwise(tmp_path):
    changes = {
        "train.lr_schedule": "linear",
        "train.noise_schedule": "linear",
        "train.schedule_from": "8",
        "train.data_noise": "0.3",
    }
    changes |= {"train.gradient_clip": "0.5", "optimizer.use": "sgd", "optimizer.momentum": "0.9"}
    trained(tmp_path / "straight", changes)
    _, updates = begun(tmp_path / "stopped", recipe(changes))
    list(islice(updates, 13))
    updates.close()
    assert state_of(tmp_path / "stopped")["trainer"]["index"] == 13
    resumed(tmp_path / "stopped")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_a_run_in_low_precision_resumes_bitwise(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32", "bf16"))
    changes = {"train.precision": "bf16", "train.iterations": "4"}
    trained(tmp_path / "straight", changes)
    trained(tmp_path / "stopped", {**changes, "train.iterations": "2"})
    run = resumed(tmp_path / "stopped", "train.iterations=4")
    assert str(run.choice) == "bf16"
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_a_killed_run_resumes_from_its_last_checkpoint(tmp_path):
    changes = {"watch.checkpoints.every": "5"}
    trained(tmp_path / "straight", changes)
    _, updates = begun(tmp_path / "running", recipe(changes))
    list(islice(updates, 8))
    shutil.copytree(tmp_path / "running", tmp_path / "killed")
    updates.close()
    assert [line["update"] for line in metrics(tmp_path / "killed")] == list(range(1, 9))
    assert state_of(tmp_path / "killed")["trainer"]["index"] == 5
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"update": 9, "loss": 0.0')
    resumed(tmp_path / "killed")
    assert_same_run(tmp_path / "straight", tmp_path / "killed")


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(UsageError, match=r"is not the folder of a run: it has no config\.toml"):
            resume_run(place)
    begun(tmp_path / "new", recipe())
    with pytest.raises(UsageError, match=r"has no checkpoint\.pt: the run cannot be resumed"):
        resume_run(tmp_path / "new")


def test_every_setting_that_differs_is_listed(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "1"})
    changes = ["sampler.noise=0.5", "train.seed=3", "energy.width=8", "optimizer.use=sgd", "train.iterations=9"]
    with pytest.raises(UsageError) as error:
        resume_run(tmp_path / "a", typed([*changes, "watch.metrics.every=5"]))
    message = str(error.value)
    assert message.startswith("--resume cannot change settings: ")
    for part in (
        "sampler.noise was 0.01, now 0.5",
        "train.seed was 0, now 3",
        "energy.width was 4, now 8",
        "optimizer.use was adam, now sgd",
        "optimizer.betas was (0.9, 0.999), now absent",
        "optimizer.momentum was absent, now",
    ):
        assert part in message
    assert "was 1, now 9" not in message
    assert "metrics" not in message
    assert "\n" not in message


def test_an_edited_configuration_is_refused(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "1"})
    path = tmp_path / "a" / "config.toml"
    path.write_text(path.read_text().replace("width = 4", "width = 8"))
    with pytest.raises(UsageError, match=r"energy\.width was 4, now 8"):
        resume_run(tmp_path / "a")


def test_repeating_the_settings_of_a_run_is_allowed(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "1"})
    run = resume_run(tmp_path / "a", typed(["sampler.noise=0.01", "energy.use=convnet", "train.device=auto"]))
    assert run.trainer.index == 1
    assert run.folder == tmp_path / "a"


def test_changes_on_resuming_are_written_to_the_folder(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "2"})
    resumed(tmp_path / "a", "train.iterations=4", "watch.metrics.every=2")
    assert "iterations = 4" in (tmp_path / "a" / "config.toml").read_text()
    assert [line["update"] for line in metrics(tmp_path / "a")] == [1, 2, 4]


def test_data_of_another_shape_are_refused_on_resuming(tmp_path):
    def write(size: int) -> None:
        np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (20, size, size), dtype=np.uint8))

    write(8)
    changes = {"data.use": "arrays", "data.path": str(tmp_path / "x.npy"), "train.iterations": "1"}
    trained(tmp_path / "a", {**changes, "energy.use": "mlp"})
    write(16)
    with pytest.raises(
        UsageError, match=r"checkpoint is of examples \(1, 8, 8\), but the data have shape \(1, 16, 16\)"
    ):
        resume_run(tmp_path / "a")


def test_on_another_device_only_the_chains_are_seeded_again(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "2"})
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    state["device"], state["trainer"]["rng"] = "cuda", torch.zeros(16, dtype=torch.uint8)
    torch.save(state, tmp_path / "a" / "checkpoint.pt")
    run = resume_run(tmp_path / "a")
    assert torch.equal(run.trainer.rng.get_state(), new_run(recipe(), None).trainer.rng.get_state())
    assert torch.equal(run.batch_rng.get_state(), state["batch_rng"])
    assert same(run.trainer.energy.state_dict(), state["trainer"]["energy"])
