"""What the watcher writes is read back from the event files, and compared value by value."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
from ebmkit_tensorboard import watcher
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from ebmkit import Update, UsageError
from ebmkit.cli.main import app
from ebmkit.config import dumps
from ebmkit.pictures import grid
from ebmkit.testing import Training, conforms
from ebmkit.watchers import scalars_of

CONFIG = {"sampler": {"use": "langevin", "steps": 3, "clip": None}, "train": {"iterations": 5}}
ALL = ["loss", "gap", "real_energy", "fake_energy", "gradient_norm", "displacement", "start_gradient", "end_gradient"]


@conforms("watcher", watcher.tensorboard, every=2, images=2)
def test_it_conforms(check):
    check()


def watched(training: Training, updates: Iterator[Update] | None = None, **settings: Any) -> Iterator[Update]:
    training.folder.mkdir(parents=True, exist_ok=True)
    source = training.updates() if updates is None else updates
    return watcher.tensorboard(source, training.trainer, training.folder, CONFIG, **settings)


def training(tmp_path: Path, shape: tuple[int, ...] = (2,)) -> Training:
    return Training(shape, str(tmp_path / "run"))


def read(folder: Path) -> EventAccumulator:
    """Everything in the event files."""
    return EventAccumulator(
        str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0}
    ).Reload()


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = read(folder)
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def expected(updates: list[Update]) -> dict[str, list[tuple[int, float]]]:
    scalars = {update.index: scalars_of(update) for update in updates}
    return {name: [(index, values[name]) for index, values in scalars.items()] for name in scalars_of(updates[0])}


def picture(event: Any) -> np.ndarray:
    with Image.open(io.BytesIO(event.encoded_image_string)) as image:
        return np.asarray(image)


def test_the_curves_are_the_scalars_of_every_update(tmp_path):
    run = training(tmp_path)
    updates = list(watched(run))
    assert curves(run.folder) == expected(updates)
    assert set(curves(run.folder)) == set(ALL)


@pytest.mark.parametrize(("every", "indices"), [(0, []), (2, [2, 4]), (5, [5])])
def test_scalars_are_written_at_every_nth_update(every, indices, tmp_path):
    run = training(tmp_path)
    updates = [update for update in watched(run, every=every) if update.index in indices]
    assert curves(run.folder) == (expected(updates) if indices else {})


def test_a_scalar_that_is_nan_is_written_as_nan(tmp_path):
    run = training(tmp_path)
    (update,) = run.updates(1)
    update.loss.fill_(math.nan)
    list(watched(run, iter([update])))
    ((_, value),) = curves(run.folder)["loss"]
    assert math.isnan(value)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 4, 4)])
def test_the_pictures_are_the_samples_of_every_nth_update(shape, tmp_path):
    run = training(tmp_path, shape)
    updates = [update for update in watched(run, images=2) if update.index % 2 == 0]
    for event, update in zip(read(run.folder).Images("samples"), updates, strict=True):
        assert event.step == update.index
        assert np.array_equal(picture(event), np.asarray(grid(update.fake, columns=3)))


@pytest.mark.parametrize(("shape", "images"), [((5,), 1), ((2, 4, 4), 1), ((2,), 0)])
def test_no_pictures_if_not_drawable_or_not_wanted(shape, images, tmp_path):
    run = training(tmp_path, shape)
    assert len(list(watched(run, images=images))) == 5
    assert read(run.folder).Tags()["images"] == []


def test_the_configuration_is_written_as_text(tmp_path):
    run = training(tmp_path)
    list(watched(run))
    (event,) = read(run.folder).Tensors("config/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert event.step == 0
    assert "".join(line.removeprefix("    ") for line in text.splitlines(keepends=True)) == dumps(CONFIG)


def test_a_resumed_run_continues_its_curves(tmp_path):
    run = training(tmp_path)
    updates = list(watched(run, run.updates(3), images=1))
    state = run.trainer.state_dict()
    list(watched(run, run.updates(2), images=1))  # lost: the checkpoint is that of update 3
    time.sleep(1.1)  # event files are named and ordered by the second
    again = training(tmp_path)
    again.trainer.load_state_dict(state)
    again.trainer.optimizer.param_groups[0]["lr"] = 0.5
    updates += list(watched(again, again.updates(2), images=1))
    assert [update.index for update in updates] == [1, 2, 3, 4, 5]
    assert curves(run.folder) == expected(updates)
    assert [event.step for event in read(run.folder).Images("samples")] == [1, 2, 3, 4, 5]


def failing(run: Training) -> Iterator[Update]:
    yield from run.updates(2)
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("how", ["end", "close", "error"])
def test_the_writer_is_closed_with_everything_on_disk(how, tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(
        watcher.SummaryWriter, "close", lambda self, close=watcher.SummaryWriter.close: (closed.append(1), close(self))
    )
    run = training(tmp_path)
    if how == "error":
        with pytest.raises(RuntimeError, match="on purpose"):
            list(watched(run, failing(run)))
    else:
        updates = watched(run, run.updates(2))
        next(updates)
        next(updates)
        assert not closed
        updates.close() if how == "close" else list(updates)
    assert closed == [1]
    assert [index for index, _ in curves(run.folder)["loss"]] == [1, 2]


@pytest.mark.parametrize(("name", "value"), [("every", -1), ("images", -1), ("every", math.nan)])
def test_settings_out_of_range_are_refused_at_the_call(name, value, tmp_path):
    run = training(tmp_path)
    with pytest.raises(UsageError, match=f"^{name} must be at least 0, not "):
        watched(run, **{name: value})


SMALL = ("--data", "moons", "--energy", "mlp", "--steps", "3", "--batch-size", "16", "--samples-every", "0")
WATCHED = ("--watch", "tensorboard", "-s", "watch.tensorboard.images=2")


def train(*words: object, code: int = 0) -> str:
    """Run the command line; what it printed on stderr."""
    ended = CliRunner().invoke(app, ["train", *map(str, words)], prog_name="ebmkit")
    assert ended.exit_code == code, (ended.stdout, ended.stderr, ended.exception)
    assert "switched off" not in ended.stderr
    return ended.stderr


def from_metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {name: [(line["update"], line[name]) for line in lines] for name in ALL}


def test_curves_from_the_command_line_equal_the_metrics(tmp_path):
    out = tmp_path / "run"
    train(*SMALL, *WATCHED, "--iterations", 3, "--out", out)
    (event,) = read(out).Tensors("config/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert "".join(line.removeprefix("    ") for line in text.splitlines(keepends=True)).strip() == (
        (out / "config.toml").read_text().strip()
    )
    time.sleep(1.1)
    train("--resume", out, "--iterations", 5)
    assert curves(out) == from_metrics(out)
    assert [index for index, _ in curves(out)["loss"]] == [1, 2, 3, 4, 5]
    assert [event.step for event in read(out).Images("samples")] == [2, 4]


def test_a_stopped_run_has_its_scalars_on_disk(tmp_path, monkeypatch):
    def interrupting(update: Update) -> dict[str, float]:
        if update.index == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return scalars_of(update)

    monkeypatch.setattr(watcher, "scalars_of", interrupting)
    out = tmp_path / "run"
    output = train(*SMALL, *WATCHED, "--iterations", 100, "--out", out, code=130)
    assert "stopped after update 3" in output
    assert curves(out) == from_metrics(out)
    assert [index for index, _ in curves(out)["loss"]] == [1, 2, 3]


def test_the_entry_point_names_the_watcher():
    (entry,) = entry_points(group="ebmkit", name="tensorboard")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    assert module.watchers() == {"tensorboard": f"{watcher.__name__}:{watcher.tensorboard.__name__}"}


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_tensorboard; sys.exit('torch' in sys.modules or 'tensorboard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
