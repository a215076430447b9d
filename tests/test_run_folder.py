"""The folder of a new run, and what is written there."""

import json
import platform
from pathlib import Path

import pytest
import torch
from training_runs import BASE, HMC, assert_same_run, begun, recipe, trained

import ebmkit
from ebmkit.config.layers import read, typed
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError
from ebmkit.registry.lookup import register
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.training import new_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


def test_the_configuration_of_a_run_repeats_it_bitwise(tmp_path):
    trained(tmp_path / "first", {"train.iterations": "5", "init.use": "gaussian", "train.seed": "7"})
    again = resolve([read(tmp_path / "first" / "config.toml")])
    _, updates = begun(tmp_path / "second", again)
    list(updates)
    assert_same_run(tmp_path / "first", tmp_path / "second")


def test_building_a_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new_run(recipe(), None)
    new_run(recipe(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    run = new_run(recipe(), tmp_path / "a")
    (tmp_path / "a" / "mine").mkdir(parents=True)
    for refuse in (lambda: new_run(recipe(), tmp_path / "a"), run.train):
        with pytest.raises(UsageError, match=r"exists; resume it with --resume .*a, or choose another --out"):
            refuse()
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
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


def test_env_json_records_versions_parts_and_command(tmp_path, monkeypatch):
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


def test_env_json_records_the_packages_of_parts(tmp_path):
    register("init", "mine", "ebmkit.inits.uniform:Uniform")
    trained(tmp_path / "a", {"train.iterations": "1", "init.use": "mine"})
    env = json.loads((tmp_path / "a" / "env.json").read_text())
    assert env["parts"]["init"] == "mine (registered in this session)"


def test_a_watcher_out_of_range_leaves_no_folder(tmp_path):
    run = new_run(recipe({"watch.metrics.every": "-2"}), tmp_path / "a")
    with pytest.raises(UsageError, match=r"watch\.metrics\.every must be at least 0, not -2"):
        run.train()
    assert list(tmp_path.iterdir()) == []


def writing(updates, folder):
    """Writes to the folder of the run, and then refuses to watch."""
    (folder / "events").write_text("begun")
    raise UsageError("nothing to watch")


@pytest.mark.parametrize("watcher", ["metrics.every=-2", "writing"])
@pytest.mark.parametrize("place", [None, "deep/er/a"])
def test_a_refused_watcher_leaves_neither_folder_nor_parents(tmp_path, monkeypatch, watcher, place):
    monkeypatch.chdir(tmp_path)
    register("watcher", "writing", writing)
    layer = typed([f"watch.{watcher}"] if "=" in watcher else [])
    layer.sections.setdefault(f"watch.{watcher.partition('.')[0]}", {})
    run = new_run(resolve([typed(f"{key}={value}" for key, value in BASE.items()), layer]), place)
    with pytest.raises(UsageError):
        run.train()
    assert list(tmp_path.iterdir()) == []


def test_a_refused_watcher_keeps_parents_with_other_runs(tmp_path):
    (tmp_path / "runs" / "other").mkdir(parents=True)
    run = new_run(recipe({"watch.metrics.every": "-2"}), tmp_path / "runs" / "a")
    with pytest.raises(UsageError):
        run.train()
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_run_stays_in_its_folder_when_the_program_moves(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    for update in new_run(recipe({"train.iterations": "3"}), "a").train():
        if update.index == 2:
            monkeypatch.chdir(tmp_path / "elsewhere")
    assert read_checkpoint(tmp_path / "a").updates == 3
    assert list((tmp_path / "elsewhere").iterdir()) == []
