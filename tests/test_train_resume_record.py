"""Resuming: incomplete checkpoints, damaged metrics, and the record in env.json."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import SMALL, everything, objects, refused, train, updates_of

from ebmkit import register
from ebmkit.data import Examples, digits

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of three updates with a replay buffer, to be copied."""
    place = tmp_path_factory.mktemp("runs") / "done"
    train(*SMALL, "--init", "replay", "-s", "init.size=10", "--iterations", "3", "--out", str(place))
    return place


@pytest.fixture
def done(empty_folder, finished) -> Path:
    """A copy of this run, to be changed."""
    shutil.copytree(finished, "done")
    return Path("done")


DAMAGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no configuration": lambda state: state.pop("config"),
    "no trainer": lambda state: state.pop("trainer"),
    "no weights": lambda state: state["trainer"]["energy"].clear(),
    "another bank": lambda state: state["trainer"]["init"].update(bank=torch.zeros(9, 1, 8, 8)),
    "wrong randomness": lambda state: state["trainer"].update(rng=torch.zeros(3, dtype=torch.uint8)),
    "no randomness": lambda state: state["trainer"].update(rng=None),
    "no optimizer": lambda state: state["trainer"]["optimizer"].clear(),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_an_incomplete_checkpoint_is_refused_by_name(case, done):
    state = torch.load(done / "checkpoint.pt", weights_only=True)
    DAMAGED[case](state)
    torch.save(state, done / "checkpoint.pt")
    assert "done/checkpoint.pt" in refused("train", "--resume", "done", "--iterations", "5")


def test_damaged_metrics_do_not_prevent_resuming(done):
    log = done / "metrics.jsonl"
    good = log.read_bytes()
    log.write_bytes(b"{}\n\xff\xfe\n" + good + b"[]\n{}\n\xff\xfe")
    train("--resume", "done", "--iterations", "5")
    assert log.read_bytes().startswith(good)
    assert [line["update"] for line in objects(log.read_text())] == [1, 2, 3, 4, 5]


def test_a_dry_run_of_a_resumption_counts_what_is_left(done):
    (values,) = objects(train("--resume", "done", "--iterations", "5", "--dry-run", "--json")[0])
    assert values["updates"] == 2


def test_every_resumption_is_recorded(done):
    before = json.loads((done / "env.json").read_text())
    train("--resume", "done", "--iterations", "4")
    train("--resume", "done", "--iterations", "5")
    after = json.loads((done / "env.json").read_text())
    resumed = after.pop("resumed")
    assert after == before
    assert [one["from_update"] for one in resumed] == [3, 4]
    assert all(one["versions"] for one in resumed)


def test_a_damaged_record_does_not_prevent_resuming(done):
    for content in ("[3]", '{"resumed": 3}', "x"):
        (done / "env.json").write_text(content)
        iterations = updates_of("done") + 1
        train("--resume", "done", "--iterations", str(iterations))
        assert json.loads((done / "env.json").read_text())["resumed"][-1]["from_update"] == iterations - 1


def test_settings_dropped_on_resuming_are_noted(done):
    examples = Examples(digits())
    np.save("digits.npy", examples.fetch(torch.arange(len(examples))).numpy())
    words = ("--resume", "done", "--iterations", "4", "--data", "arrays", "-s", "data.path=digits.npy")
    _, stderr = train(*words, quiet=False)
    assert stderr.startswith("note: data is now 'arrays': dropped what was set for 'digits' (")
    assert updates_of("done") == 4


def test_a_change_that_cannot_be_written_changes_nothing(done):
    before = everything()
    changes = ("-s", "data.path=u\udcff", "--data", "same")
    register("data", "same", lambda *, path: digits())
    assert "cannot write config.toml" in refused("train", "--resume", "done", "--iterations", "4", *changes, "-q")
    assert everything() == before
