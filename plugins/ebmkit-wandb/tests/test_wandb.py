"""What the watcher logs, call by call, and what it refuses."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("wandb", reason="wandb is not installed")
import wandb as client
from ebmkit_wandb import watcher

from ebmkit import Update, UsageError
from ebmkit.pictures import grid
from ebmkit.testing import Training, conforms
from ebmkit.watchers import scalars_of

CONFIG = {"sampler": {"use": "langevin", "steps": 3, "clip": None}, "watch.wandb": {"every": 1}}


@conforms("watcher", watcher.wandb, every=2, images=2)
def test_it_conforms(check):
    check()


class Recorder:
    """Stands in for wandb: records the arguments of `init`, `log` and `finish`."""

    def __init__(self) -> None:
        self.id = "made-up"
        self.given: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.ended: list[int] = []

    def init(self, **settings: Any) -> "Recorder":
        self.given.append(settings)
        return self

    def log(self, scalars: dict[str, Any], step: int) -> None:
        self.logged.append((step, scalars))

    def finish(self, exit_code: int) -> None:
        self.ended.append(exit_code)


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(client, "init", recorder.init)
    monkeypatch.setattr(watcher, "write_out", lambda: None)
    return recorder


def training(tmp_path: Path, shape: tuple[int, ...] = (2,)) -> Training:
    run = Training(shape, str(tmp_path / "my-run"))
    run.folder.mkdir(parents=True, exist_ok=True)
    return run


def watched(run: Training, updates: Iterator[Update] | None = None, **settings: Any) -> Iterator[Update]:
    return watcher.wandb(run.updates() if updates is None else updates, run.folder, CONFIG, **settings)


def test_the_scalars_of_every_update_are_logged(tmp_path, recorder):
    updates = list(watched(training(tmp_path)))
    assert recorder.logged == [(update.index, scalars_of(update)) for update in updates]


@pytest.mark.parametrize(("every", "images", "indices"), [(0, 0, []), (2, 0, [2, 4]), (2, 3, [2, 3, 4]), (0, 5, [5])])
def test_updates_are_logged_once_and_only_when_due(every, images, indices, tmp_path, recorder):
    list(watched(training(tmp_path), every=every, images=images))
    assert [index for index, _ in recorder.logged] == indices
    for index, scalars in recorder.logged:
        assert ("loss" in scalars) == bool(every and index % every == 0)
        assert ("samples" in scalars) == bool(images and index % images == 0)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 4, 4)])
def test_the_pictures_are_the_samples(shape, tmp_path, recorder):
    updates = list(watched(training(tmp_path, shape), images=1))
    for (_, scalars), update in zip(recorder.logged, updates, strict=True):
        assert np.array_equal(np.asarray(scalars["samples"].image), np.asarray(grid(update.fake, columns=3)))


@pytest.mark.parametrize("shape", [(5,), (2, 4, 4)])
def test_no_pictures_of_what_cannot_be_drawn(shape, tmp_path, recorder):
    list(watched(training(tmp_path, shape), images=1))
    assert all("samples" not in scalars for _, scalars in recorder.logged)


def test_a_run_is_created_in_its_folder_and_offline(tmp_path, recorder):
    run = training(tmp_path)
    list(watched(run, timeout=7.0))
    (given,) = recorder.given
    settings = given.pop("settings")
    assert given == {
        "dir": str(run.folder),
        "project": "ebmkit",
        "name": "my-run",
        "config": CONFIG,
        "mode": "offline",
        "id": None,
        "resume": None,
        "reinit": "create_new",
    }
    assert (settings.init_timeout, settings.finish_timeout, settings.console) == (7.0, 7.0, "off")
    assert settings.silent is True


def test_project_and_name_can_be_chosen(tmp_path, recorder):
    list(watched(training(tmp_path), project="toys", name="first try"))
    assert (recorder.given[0]["project"], recorder.given[0]["name"]) == ("toys", "first try")


@pytest.mark.parametrize(("mode", "resume"), [("online", "allow"), ("offline", None)])
def test_a_resumed_run_has_the_same_id(mode, resume, tmp_path, recorder, monkeypatch):
    monkeypatch.setattr(client, "login", lambda prompt, verify: True)
    run = training(tmp_path)
    list(watched(run, run.updates(2), mode=mode))
    list(watched(run, run.updates(3), mode=mode))
    assert [(given["id"], given["resume"]) for given in recorder.given] == [(None, None), ("made-up", resume)]
    assert [index for index, _ in recorder.logged] == [1, 2, 3, 4, 5]
    assert (run.folder / "wandb-id.txt").read_text() == "made-up\n"


def test_disabled_logs_nothing_and_leaves_nothing(tmp_path, recorder):
    run = training(tmp_path)
    assert len(list(watched(run, mode="disabled"))) == 5
    assert (recorder.given, list(run.folder.iterdir())) == ([], [])


def failing(run: Training) -> Iterator[Update]:
    yield from run.updates(2)
    raise RuntimeError("on purpose")


@pytest.mark.parametrize(("how", "code"), [("end", 0), ("close", 0), ("error", 1)])
def test_the_run_is_finished_in_every_case(how, code, tmp_path, recorder):
    run = training(tmp_path)
    if how == "error":
        with pytest.raises(RuntimeError, match="on purpose"):
            list(watched(run, failing(run)))
    else:
        updates = watched(run)
        next(updates)
        assert recorder.ended == []
        updates.close() if how == "close" else list(updates)
    assert recorder.ended == [code]


def test_error_reports_can_be_enabled_by_the_user(tmp_path, recorder, monkeypatch):
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")
    list(watched(training(tmp_path)))
    assert os.environ["WANDB_ERROR_REPORTING"] == "true"


@pytest.mark.parametrize(("key", "said"), [(None, "there is no API key"), ("short", "the API key is refused")])
def test_online_without_a_valid_api_key_is_refused(key, said, tmp_path, monkeypatch):
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    client.teardown()
    with pytest.raises(UsageError, match=f"^mode is online, but {said}.*run `wandb login`$") as caught:
        watched(training(tmp_path), mode="online")
    assert "\n" not in str(caught.value)


def test_online_needs_no_key_with_a_run_of_the_caller(tmp_path, recorder, monkeypatch):
    monkeypatch.setattr(client, "run", object())
    monkeypatch.setattr(client, "login", lambda prompt, verify: False)
    list(watched(training(tmp_path), mode="online"))
    assert recorder.given[0]["mode"] == "online"


def test_an_unreachable_server_is_reported_in_one_line(tmp_path, monkeypatch):
    def unreachable(**settings: Any) -> Any:
        raise client.errors.CommError("Timed out\nConsider increasing")

    monkeypatch.setattr(client, "login", lambda prompt, verify: True)
    monkeypatch.setattr(client, "init", unreachable)
    run = training(tmp_path)
    updates = watched(run, mode="online")
    with pytest.raises(UsageError, match=r"^mode is online, but wandb did not start: Timed out Consider increasing; "):
        next(updates)
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("every", -1), ("images", -1), ("timeout", 0.0), ("timeout", math.nan), ("project", " ")]
)
def test_settings_out_of_range_are_refused_at_the_call(name, value, tmp_path):
    with pytest.raises(UsageError, match=f"^{name} must be "):
        watched(training(tmp_path), **{name: value})


def test_the_entry_point_names_the_watcher():
    (entry,) = entry_points(group="ebmkit", name="wandb")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    assert module.watchers() == {"wandb": f"{watcher.__name__}:{watcher.wandb.__name__}"}


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_wandb; sys.exit('torch' in sys.modules or 'wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
