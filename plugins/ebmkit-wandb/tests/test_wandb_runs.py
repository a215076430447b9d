"""Real offline runs: what they write, and what they do not touch."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wandb", reason="wandb is not installed")
import wandb as client
from ebmkit_wandb import watcher
from typer.testing import CliRunner

from ebmkit import Update
from ebmkit.cli.main import app
from ebmkit.testing import Training
from ebmkit.watchers import scalars_of

CONFIG = {"sampler": {"use": "langevin", "steps": 3, "clip": None}, "watch.wandb": {"every": 1}}


def training(tmp_path: Path, shape: tuple[int, ...] = (2,)) -> Training:
    run = Training(shape, str(tmp_path / "my-run"))
    run.folder.mkdir(parents=True, exist_ok=True)
    return run


def watched(run: Training, updates: Iterator[Update] | None = None, **settings: Any) -> Iterator[Update]:
    return watcher.wandb(run.updates() if updates is None else updates, run.folder, CONFIG, **settings)


def kept(folder: Path) -> list[bytes]:
    """The files of real offline runs, in the order of their starts."""
    return [file.read_bytes() for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def test_a_real_offline_run_stores_everything(tmp_path):
    run = training(tmp_path)
    updates = list(watched(run, images=2))
    (written,) = kept(run.folder)
    for update in updates:
        assert all(
            name.encode() in written and repr(value).encode() in written for name, value in scalars_of(update).items()
        )
    assert json.dumps(CONFIG["sampler"], separators=(",", ":")).encode() in written
    assert len(list(run.folder.glob("wandb/offline-run-*/files/media/images/samples_*.png"))) == 2
    (name,) = [path.name for path in run.folder.glob("wandb/offline-run-*")]
    assert name.rpartition("-")[2] == (run.folder / "wandb-id.txt").read_text().strip()


def test_an_offline_run_is_written_when_its_watcher_has_ended(tmp_path):
    service = client.setup()
    list(watched(training(tmp_path)))
    # wandb's own process writes the last records after `finish`, and says so only by ending
    assert client.setup() is not service


@pytest.mark.parametrize("reinit", ["default", "create_new"])
def test_a_real_run_does_not_touch_a_run_of_the_caller(reinit, tmp_path):
    own = client.init(mode="offline", dir=str(tmp_path), settings=client.Settings(silent=True), reinit=reinit)
    list(watched(training(tmp_path)))
    assert client.setup().most_recent_active_run is own
    assert client.run is (own if reinit == "default" else None)
    own.log({"still": 1})
    own.finish()


SENDING_NOTHING = """
import sys
from ebmkit.testing import Training
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
