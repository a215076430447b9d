"""A run on disk: what it holds, how it is taken up again, and what is refused."""

import json
import os
import pickle
import platform
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import BASE, HMC, assert_same_run, begun, metrics, recipe, resumed, same, state_of, trained

import ebmkit
from ebmkit.acceleration import choice
from ebmkit.config.layers import read, typed
from ebmkit.config.resolution import resolve
from ebmkit.errors import Notice, UsageError
from ebmkit.registry.lookup import register
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.device import pick_device
from ebmkit.runs.training import new_run, resume_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


@pytest.mark.parametrize("sampler", [{}, HMC], ids=["langevin", "hmc"])
@pytest.mark.parametrize("init", ["uniform", "replay", "data"])
def test_stopped_at_10_and_resumed_to_20_is_bitwise_a_straight_20(tmp_path, sampler, init):
    changes = {**sampler, "init.use": init, "train.average": "0.9", "train.energy_l2": "0.01"}
    changes |= {"init.size": "50", "init.restart": "0.2"} if init == "replay" else {}
    trained(tmp_path / "straight", changes)
    trained(tmp_path / "stopped", {**changes, "train.iterations": "10"})
    assert state_of(tmp_path / "stopped")["trainer"]["index"] == 10
    resumed(tmp_path / "stopped", "train.iterations=20")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    assert [line["update"] for line in metrics(tmp_path / "straight")] == list(range(1, 21))


def test_interrupted_under_schedules_and_resumed_is_bitwise_a_straight_run(tmp_path):
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


def test_killed_between_two_checkpoints_a_run_goes_on_from_the_last_one(tmp_path):
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


def test_the_configuration_of_a_run_repeats_it_bitwise(tmp_path):
    trained(tmp_path / "first", {"train.iterations": "5", "init.use": "gaussian", "train.seed": "7"})
    again = resolve([read(tmp_path / "first" / "config.toml")])
    _, updates = begun(tmp_path / "second", again)
    list(updates)
    assert_same_run(tmp_path / "first", tmp_path / "second")


def test_pictures_do_not_change_a_run(tmp_path):
    trained(tmp_path / "blind", {"train.iterations": "3"})
    pictures = {"watch.pictures.every": "1", "watch.pictures.count": "4", "watch.pictures.chains": "2"}
    trained(tmp_path / "drawn", {"train.iterations": "3", **pictures})
    assert len(list((tmp_path / "drawn").glob("*/*.png"))) == 6
    assert metrics(tmp_path / "blind") == metrics(tmp_path / "drawn")
    assert same(state_of(tmp_path / "blind")["trainer"], state_of(tmp_path / "drawn")["trainer"])


def test_the_seed_decides_weights_batches_and_chains(tmp_path):
    runs = {seed: new_run(recipe({"train.seed": str(seed)}), None) for seed in (0, 1)}
    again = new_run(recipe(HMC), None)
    assert same(runs[0].trainer.energy.state_dict(), again.trainer.energy.state_dict())
    assert not same(runs[0].trainer.energy.state_dict(), runs[1].trainer.energy.state_dict())
    streams = [rng.get_state() for run in runs.values() for rng in (run.trainer.rng, run.batch_rng)]
    assert not any(torch.equal(one, other) for i, one in enumerate(streams) for other in streams[:i])


def test_building_and_training_leave_the_global_randomness_alone(tmp_path):
    torch.manual_seed(12345)
    before = torch.random.get_rng_state()
    trained(tmp_path / "a", {"train.iterations": "2"})
    assert torch.equal(torch.random.get_rng_state(), before)


def test_preparing_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new_run(recipe(), None)
    new_run(recipe(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_refused(tmp_path):
    run = new_run(recipe(), tmp_path / "a")
    (tmp_path / "a").mkdir()
    for refuse in (lambda: new_run(recipe(), tmp_path / "a"), run.train):
        with pytest.raises(UsageError, match=r"exists; resume it with --resume .*a, or choose another --out"):
            refuse()
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the folder"):
        new_run(recipe(), tmp_path / "file" / "a").train()


def test_folders_without_a_name_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/convnet-langevin-uniform-002").mkdir(parents=True)
    runs = [new_run(recipe({"train.iterations": "1"})) for _ in range(2)]
    for run in runs:  # both were prepared before either had a folder
        list(run.train())
    assert [run.folder.name for run in runs] == ["convnet-langevin-uniform-001", "convnet-langevin-uniform-003"]
    other = new_run(recipe({**HMC, "init.use": "data", "train.iterations": "1"}))
    list(other.train())
    assert other.folder == Path("runs/convnet-hmc-data-001")


def test_a_run_says_what_it_was_made_with(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ebmkit", "train", "--seed", "0"])
    trained(tmp_path / "a", {"train.iterations": "1"})
    env = json.loads((tmp_path / "a" / "env.json").read_text())
    assert env["ebmkit"] == ebmkit.__version__
    assert env["python"] == platform.python_version()
    assert env["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert env["parts"]["sampler"] == f"langevin (ebmkit {ebmkit.__version__})"
    assert env["command"] == ["ebmkit", "train", "--seed", "0"]
    assert env["device"] == "cpu"
    assert env["threads"] == torch.get_num_threads()
    assert env["plugins"] == []
    assert {"platform", "git_commit"} <= set(env)


def test_a_run_says_which_parts_are_not_ours(tmp_path):
    register("init", "mine", "ebmkit.inits.uniform:Uniform")
    trained(tmp_path / "a", {"train.iterations": "1", "init.use": "mine"})
    env = json.loads((tmp_path / "a" / "env.json").read_text())
    assert env["parts"]["init"] == "mine (registered in this session)"


def test_a_checkpoint_is_of_tensors_and_plain_types(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "2", "train.average": "0.9"})
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    assert state["format"] == 2
    assert state["shape"] == [1, 8, 8]
    assert state["config"] == (tmp_path / "a" / "config.toml").read_text()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("zipped", [True, False], ids=["torch", "pickle"])
def test_a_malicious_checkpoint_is_refused_and_not_executed(tmp_path, zipped):
    trained(tmp_path / "a", {"train.iterations": "1"})
    path, trap = tmp_path / "a" / "checkpoint.pt", tmp_path / "sprung"
    if zipped:
        torch.save({**torch.load(path, weights_only=True), "extra": Evil(trap)}, path)
    else:
        path.write_bytes(pickle.dumps({"format": 2, "extra": Evil(trap)}, protocol=2))
    with pytest.raises(UsageError, match=r"checkpoint\.pt cannot be read") as error:
        resume_run(tmp_path / "a")
    assert "\n" not in str(error.value)
    assert not trap.exists()
    torch.load(path, weights_only=False) if zipped else pickle.loads(path.read_bytes())
    assert trap.exists()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path, share):
    trained(tmp_path / "a", {"train.iterations": "1"})
    path = tmp_path / "a" / "checkpoint.pt"
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(UsageError, match=r"checkpoint\.pt cannot be read: truncated") as error:
        resume_run(tmp_path / "a")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [{"format": 1}, {"weights": torch.zeros(2)}, torch.zeros(2)])
def test_somebody_elses_checkpoint_is_refused(tmp_path, content):
    trained(tmp_path / "a", {"train.iterations": "1"})
    torch.save(content, tmp_path / "a" / "checkpoint.pt")
    with pytest.raises(UsageError, match="not a checkpoint of this version"):
        resume_run(tmp_path / "a")


def test_what_is_no_run_cannot_be_resumed(tmp_path):
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


def test_a_configuration_edited_behind_a_runs_back_is_refused(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "1"})
    path = tmp_path / "a" / "config.toml"
    path.write_text(path.read_text().replace("width = 4", "width = 8"))
    with pytest.raises(UsageError, match=r"energy\.width was 4, now 8"):
        resume_run(tmp_path / "a")


def test_saying_the_same_again_is_no_difference(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "1"})
    run = resume_run(tmp_path / "a", typed(["sampler.noise=0.01", "energy.use=convnet", "train.device=auto"]))
    assert run.trainer.index == 1
    assert run.folder == tmp_path / "a"


def test_what_was_changed_on_resuming_is_written_down(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "2"})
    resumed(tmp_path / "a", "train.iterations=4", "watch.metrics.every=2")
    assert "iterations = 4" in (tmp_path / "a" / "config.toml").read_text()
    assert [line["update"] for line in metrics(tmp_path / "a")] == [1, 2, 4]


def test_data_of_another_shape_is_refused_on_resuming(tmp_path):
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


def test_on_another_kind_of_device_the_chains_start_anew_and_the_rest_goes_on(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "2"})
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    state["device"], state["trainer"]["rng"] = "cuda", torch.zeros(16, dtype=torch.uint8)
    torch.save(state, tmp_path / "a" / "checkpoint.pt")
    run = resume_run(tmp_path / "a")
    assert torch.equal(run.trainer.rng.get_state(), new_run(recipe(), None).trainer.rng.get_state())
    assert torch.equal(run.batch_rng.get_state(), state["batch_rng"])
    assert same(run.trainer.energy.state_dict(), state["trainer"]["energy"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler.steps": "-1"}, "sampler.steps must be at least 1, not -1"),
        ({"sampler.noise": "nan"}, "sampler.noise must be at least 0, not nan"),
        ({"train.batch_size": "0"}, "train.batch_size must be at least 1, not 0"),
        ({"train.batch_size": "1798"}, "train.batch_size=1798 is more than the data have: 1797"),
        ({"train.average": "1.5"}, "train.average must be above 0 and below 1"),
        ({"optimizer.lr": "-1"}, "optimizer: Invalid learning rate"),
        ({"data.size": "20"}, "energy: convnet takes square images of 8, 16, 32, 64 or 128 pixels"),
        ({"data.use": "moons"}, "energy: convnet takes square images"),
        ({"init.use": "replay", "init.restart": "2"}, "init.restart must be"),
        ({"train.device": "gpu"}, "train.device: 'gpu' is not on this machine"),
        ({"train.device": "cuda:99"}, "train.device: 'cuda:99' is not on this machine"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_what_cannot_be_built_is_refused_by_its_setting(tmp_path, changes, message):
    with pytest.raises(UsageError) as error:
        new_run(recipe(changes), tmp_path / "a")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_energy_without_parameters_is_refused():
    with pytest.raises(UsageError, match="energy 'double_well' has no parameters to train"):
        new_run(resolve([typed(["energy.use=double_well"])]), None)


def test_an_energy_that_cannot_take_the_data_is_refused(tmp_path):
    register("energy", "square", lambda shape: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(63, 1)))
    with pytest.raises(UsageError, match=r"energy 'square' cannot take examples of shape \(1, 8, 8\)") as error:
        new_run(resolve([typed(["energy.use=square"])]), None)
    assert "\n" not in str(error.value)


def test_a_watcher_out_of_range_is_refused_before_anything_is_written(tmp_path):
    run = new_run(recipe({"watch.metrics.every": "-2"}), tmp_path / "a")
    with pytest.raises(UsageError, match=r"watch\.metrics\.every must be at least 0, not -2"):
        run.train()
    assert list(tmp_path.iterdir()) == []


def test_auto_is_a_device_that_is_there():
    assert pick_device("auto").type == ("cuda" if torch.cuda.device_count() else pick_device("auto").type)
    assert pick_device("cpu") == torch.device("cpu")


def breaking(updates, trainer, *, at: int = 2):
    """Raises.

    Args:
        at: When.
    """
    for update in updates:
        if trainer.index == at:
            raise RuntimeError("on purpose")
        yield update


def test_a_third_partys_watcher_that_breaks_changes_nothing(tmp_path):
    register("watcher", "breaking", breaking)
    trained(tmp_path / "plain", {"train.iterations": "4"})
    run = new_run(recipe({"train.iterations": "4", "watch.breaking.at": "3"}), tmp_path / "watched")
    with pytest.warns(Notice) as warnings:
        assert [update.index for update in run.train()] == [1, 2, 3, 4]
    assert [str(one.message) for one in warnings] == [
        "watcher 'breaking' of registered in this session: switched off: RuntimeError: on purpose",
    ]
    assert metrics(tmp_path / "plain") == metrics(tmp_path / "watched")
    assert same(state_of(tmp_path / "plain")["trainer"], state_of(tmp_path / "watched")["trainer"])


def test_a_third_partys_watcher_knows_the_run(tmp_path):
    seen: dict[str, Any] = {}

    def curious(updates, trainer, folder, examples, iterations, config, save):
        seen.update(trainer=trainer, folder=folder, examples=examples, iterations=iterations, config=config)
        yield from updates
        save()
        seen["index"] = read_checkpoint(folder).updates

    register("watcher", "curious", curious)
    layer = typed(f"{key}={value}" for key, value in {**BASE, "train.iterations": "2"}.items())
    layer.sections["watch.curious"] = {}
    run, updates = begun(tmp_path / "a", resolve([layer]))
    list(updates)
    assert seen["trainer"] is run.trainer
    assert seen["folder"] == tmp_path / "a"
    assert len(seen["examples"]) == 1797
    assert (seen["iterations"], seen["index"]) == (2, 2)
    assert seen["config"]["sampler"]["steps"] == 3
