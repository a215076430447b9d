"""What the watcher logs, call by call, and real runs that are kept in their folder."""

import json
import math
import os
import socket
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
from ebmkit.watchers.watch import scalars
from ebmkit_wandb import watcher
from typer.testing import CliRunner

from ebmkit import Update, UsageError
from ebmkit.cli.main import app
from ebmkit.pictures import grid
from ebmkit.testing import conforms
from ebmkit.testing.training import Training

CONFIG = {"sampler": {"use": "langevin", "steps": 3, "clip": None}, "watch.wandb": {"every": 1}}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@conforms("watcher", watcher.wandb, every=2, images=2)
def test_it_conforms(check):
    check()


class Recorder:
    """Stands where wandb does: keeps what is given to `init`, `log` and `finish`."""

    def __init__(self) -> None:
        self.id = "made-up"
        self.given: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.ended: list[int] = []

    def init(self, **settings: Any) -> "Recorder":
        self.given.append(settings)
        return self

    def log(self, figures: dict[str, Any], step: int) -> None:
        self.logged.append((step, figures))

    def finish(self, exit_code: int) -> None:
        self.ended.append(exit_code)


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(client, "init", recorder.init)
    return recorder


def training(tmp_path: Path, shape: tuple[int, ...] = (2,)) -> Training:
    run = Training(shape, str(tmp_path / "my-run"))
    run.folder.mkdir(parents=True, exist_ok=True)
    return run


def watched(run: Training, steps: Iterator[Update] | None = None, **settings: Any) -> Iterator[Update]:
    return watcher.wandb(run.updates() if steps is None else steps, run.folder, CONFIG, **settings)


def test_the_scalars_of_every_update_are_logged(tmp_path, recorder):
    steps = list(watched(training(tmp_path)))
    assert recorder.logged == [(step.index, scalars(step)) for step in steps]


@pytest.mark.parametrize(("every", "images", "indices"), [(0, 0, []), (2, 0, [2, 4]), (2, 3, [2, 3, 4]), (0, 5, [5])])
def test_updates_are_logged_once_and_only_when_due(every, images, indices, tmp_path, recorder):
    list(watched(training(tmp_path), every=every, images=images))
    assert [index for index, _ in recorder.logged] == indices
    for index, figures in recorder.logged:
        assert ("loss" in figures) == bool(every and index % every == 0)
        assert ("samples" in figures) == bool(images and index % images == 0)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 4, 4)])
def test_the_pictures_are_the_samples(shape, tmp_path, recorder):
    steps = list(watched(training(tmp_path, shape), images=1))
    for (_, figures), step in zip(recorder.logged, steps, strict=True):
        assert np.array_equal(np.asarray(figures["samples"].image), np.asarray(grid(step.fake, columns=3)))


@pytest.mark.parametrize("shape", [(5,), (2, 4, 4)])
def test_no_pictures_of_what_cannot_be_drawn(shape, tmp_path, recorder):
    list(watched(training(tmp_path, shape), images=1))
    assert all("samples" not in figures for _, figures in recorder.logged)


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
        steps = watched(run)
        next(steps)
        assert recorder.ended == []
        steps.close() if how == "close" else list(steps)
    assert recorder.ended == [code]


def kept(folder: Path) -> list[bytes]:
    """What real offline runs wrote, in the order of their starts."""
    return [file.read_bytes() for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def test_a_real_offline_run_stores_everything(tmp_path):
    run = training(tmp_path)
    steps = list(watched(run, images=2))
    (written,) = kept(run.folder)
    for step in steps:
        assert all(
            name.encode() in written and repr(value).encode() in written for name, value in scalars(step).items()
        )
    assert json.dumps(CONFIG["sampler"], separators=(",", ":")).encode() in written
    assert len(list(run.folder.glob("wandb/offline-run-*/files/media/images/samples_*.png"))) == 2
    (name,) = [path.name for path in run.folder.glob("wandb/offline-run-*")]
    assert name.rpartition("-")[2] == (run.folder / "wandb-id.txt").read_text().strip()


def test_a_real_run_does_not_touch_a_run_of_the_caller(tmp_path):
    own = client.init(mode="offline", dir=str(tmp_path), settings=client.Settings(silent=True))
    list(watched(training(tmp_path)))
    assert client.run is own
    own.log({"still": 1})
    own.finish()


SENDING_NOTHING = """
import sys
from ebmkit.testing.training import Training
from ebmkit_wandb.watcher import wandb

run = Training((2,), sys.argv[1])
run.folder.mkdir()
list(wandb(run.updates(), run.folder, {}))
"""


def test_an_offline_run_never_calls_the_server(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        environment = os.environ | {"WANDB_BASE_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}
        command = [sys.executable, "-c", SENDING_NOTHING, str(tmp_path / "run")]
        subprocess.run(command, env=environment, check=True)
        with pytest.raises(TimeoutError):
            server.accept()
    assert len(kept(tmp_path / "run")) == 1


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
    steps = watched(run, mode="online")
    with pytest.raises(UsageError, match=r"^mode is online, but wandb did not start: Timed out Consider increasing; "):
        next(steps)
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("every", -1), ("images", -1), ("timeout", 0.0), ("timeout", math.nan), ("project", " ")]
)
def test_settings_out_of_range_are_refused_at_the_call(name, value, tmp_path):
    with pytest.raises(UsageError, match=f"^{name} must be "):
        watched(training(tmp_path), **{name: value})


def train(*words: object) -> None:
    ended = CliRunner().invoke(app, ["train", *map(str, words)], prog_name="ebmkit")
    assert ended.exit_code == 0, (ended.stdout, ended.stderr, ended.exception)
    assert "switched off" not in ended.stderr


def test_a_run_resumed_on_the_command_line_has_the_same_id(tmp_path):
    small = ("--data", "moons", "--energy", "mlp", "--steps", 3, "--batch-size", 16, "--samples-every", 0)
    out = tmp_path / "run"
    train(*small, "--watch", "wandb", "--iterations", 2, "--out", out)
    name = (out / "wandb-id.txt").read_text().strip()
    train("--resume", out, "--iterations", 4)
    assert (out / "wandb-id.txt").read_text().strip() == name
    assert {path.name for path in out.glob("wandb/offline-run-*/*.wandb")} == {f"run-{name}.wandb"}
    assert len(kept(out)) == 2
    for line in (out / "metrics.jsonl").read_text().splitlines():
        assert repr(json.loads(line)["loss"]).encode() in b"".join(kept(out))


def test_the_entry_point_names_the_watcher():
    (entry,) = entry_points(group="ebmkit", name="wandb")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    assert module.watchers() == {"wandb": f"{watcher.__name__}:{watcher.wandb.__name__}"}


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_wandb; sys.exit('torch' in sys.modules or 'wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
