"""How `ebmkit train` ends when training fails: exit codes, messages, and what is saved."""

import math
import warnings
from pathlib import Path

import pytest
import torch
from commands import SMALL, objects, result_of, train, updates_of, weights

from ebmkit import register
from ebmkit.energies.mlp import MLP
from ebmkit.errors import Diverged
from ebmkit.runs.checkpoint import Checkpoint

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_divergence_is_exit_3_and_keeps_the_last_checkpoint():
    stdout, stderr = train(*SMALL, "--iterations", "9", "--out", "a", "-s", "optimizer.lr=1e30", code=3)
    assert stdout == ""
    assert stderr.count("\n") == 1
    assert stderr.startswith("error: diverged at update 2: ")
    assert "try train.gradient_penalty=1, a lower optimizer.lr" in stderr
    assert "; the last checkpoint is a/checkpoint.pt" in stderr
    assert updates_of("a") == 1
    assert all(bool(value.isfinite().all()) for value in weights("a").values())


def test_divergence_at_once_says_that_there_is_no_checkpoint():
    result = result_of("train", *SMALL, "--out", "a", "-s", "sampler.step_size=1e30", "--json", "-q", code=3)
    assert "diverged at update 1: " in result.stderr
    assert "; no checkpoint had been written" in result.stderr
    assert objects(result.stdout) == [{"schema": 2, "status": "diverged", "folder": "a"}]
    assert not Path("a/checkpoint.pt").exists()


class Fragile(MLP):
    """An energy that raises in its ninth pass: in the chain of the second update."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        if self.passes == 9:
            raise RuntimeError("on purpose")
        return super().forward(x)


def test_an_error_in_a_part_is_exit_1_and_names_the_part():
    register("energy", "fragile", Fragile)
    words = ("--energy", "fragile", "--iterations", "6", "--out", "a", "--json", "-q")
    result = result_of("train", *SMALL, *words, code=1)
    assert isinstance(result.exception, RuntimeError)
    (note,) = result.exception.__notes__
    assert note.startswith("in energy 'fragile' from registered in this session")
    assert objects(result.stdout)[-1] == {"schema": 2, "status": "failed", "folder": "a"}
    assert updates_of("a") == 1


def breaking(updates):
    """Raises an exception after its first update."""
    for update in updates:
        yield update
        raise OSError("disk full")


def test_a_broken_watcher_is_reported_in_one_line():
    register("watcher", "breaking", breaking)
    _, stderr = train(*SMALL, "--iterations", "3", "--watch", "breaking", "--out", "a")
    origin = "registered in this session"
    assert stderr == f"warning: watcher 'breaking' of {origin}: switched off: OSError: disk full\n"


def test_a_watcher_cannot_hide_divergence():
    def hiding(updates):
        try:
            yield from updates
        except Diverged:
            return

    register("watcher", "hiding", hiding)
    train(*SMALL, "--watch", "hiding", "--out", "a", "-s", "optimizer.lr=1e30", code=3)


class Infinite(MLP):
    """Its energies are infinite, and its gradients are not: weights stay finite."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + math.inf


@pytest.mark.parametrize("words", [("--energy", "infinite"), ("-s", "sampler.step_size=1e30")])
def test_values_that_are_not_finite_are_null_in_json(words):
    register("energy", "infinite", Infinite)
    unwatched = ("-s", "watch.divergence.every=0", "-s", "watch.checkpoints.every=0", "--iterations", "2", "--json")
    *printed, last = objects(train(*SMALL, *words, *unwatched, "--out", "a")[0])
    kept = objects(Path("a/metrics.jsonl").read_text())
    assert last["status"] == "done"
    assert len(printed) == len(kept) == 2
    assert all(None in line.values() for line in [*printed, *kept])


def test_a_full_disk_is_one_line_and_exit_1(monkeypatch):
    def full(checkpoint: Checkpoint, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoint, "write", full)
    _, stderr = train(*SMALL, "--iterations", "3", "--out", "a", code=1)
    assert stderr == "error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_notice_is_printed_whatever_the_filters_of_python(action):
    register("watcher", "breaking", breaking)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        _, stderr = train(*SMALL, "--iterations", "3", "--watch", "breaking", "--out", "a")
    assert "switched off: OSError: disk full\n" in stderr
    assert updates_of("a") == 3
