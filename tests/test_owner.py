"""A run has one owner: a second process is refused, a dead one is not in the way, and readers are never refused."""

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from commands import everything, invoked
from diverging_runs import toy
from training_runs import assert_same_run

import ebmkit
from ebmkit.errors import Notice, UsageError
from ebmkit.files import Unwritten
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.training import new_run, resume_run

pytestmark = pytest.mark.usefixtures("empty_folder")
SETTINGS = {"train.iterations": "6", "watch.checkpoints.every": "2"}
HOLD = """
import sys
from pathlib import Path
from ebmkit.claims import claim
with claim(Path(sys.argv[1])) as owner:
    print(owner or "mine", flush=True)
    sys.stdin.read()
"""
MINE = "is in use by this process: finish or close the updates of its run first"


@pytest.fixture
def begun():
    """The updates of the run `a`, of which three were made."""
    updates = new_run(toy(SETTINGS), Path("a")).train()
    list(islice(updates, 3))
    return updates


@pytest.fixture
def other(begun):
    """A process that owns the run `a`."""
    begun.close()
    command = [sys.executable, "-c", HOLD, "a/lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


def test_the_lock_is_there_while_a_run_trains(begun):
    assert json.loads(Path("a/lock").read_text()) == {"host": platform.node(), "pid": os.getpid()}
    list(begun)
    assert not Path("a/lock").exists()


def test_another_process_is_named_and_nothing_is_written(other):
    before = everything()
    by = f"a is in use by process {other.pid} on {platform.node()}: wait for its end, or stop it"
    assert invoked("train", "--resume", "a", code=2)[1].splitlines()[-1] == f"error: {by}"
    assert invoked("train", "--out", "a", code=2)[1] == f"error: {by}; or choose another --out\n"
    assert everything() == before


def test_readers_are_not_refused(other):
    invoked("sample", "a", "-n", 4)
    assert ebmkit.load("a").sample(2, torch.Generator()).shape == (2, 2)
    assert resume_run("a").trainer.index == 3
    invoked("train", "--from", "a", "--out", "b", "-s", "train.iterations=1", "-q")


def test_the_lock_of_a_dead_process_is_taken_over(other):
    other.kill()
    other.wait()
    assert json.loads(Path("a/lock").read_text())["pid"] == other.pid
    list(resume_run("a").train())
    list(new_run(toy(SETTINGS), Path("straight")).train())
    assert_same_run(Path("a"), Path("straight"))
    assert not Path("a/lock").exists()


def test_the_lock_of_another_host_names_the_file_to_remove(begun):
    begun.close()
    Path("a/lock").write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    by = f"process 1 on elsewhere; if that process is dead, remove {Path('a/lock').absolute()}"
    with pytest.raises(UsageError) as raised:
        resume_run("a").train()
    assert str(raised.value) == f"a is in use by {by}"
    Path("a/lock").unlink()
    list(resume_run("a").train())


def test_two_runs_of_one_process_cannot_share_a_folder(begun):
    second = resume_run("a")
    with pytest.raises(UsageError, match=f"^a {MINE}$"):
        second.train()
    with pytest.raises(UsageError, match=f"^a {MINE}; or choose another --out$"):
        new_run(toy(SETTINGS), "a")
    list(begun)


def test_a_run_that_went_on_elsewhere_meanwhile_is_opened_again(begun):
    stale = resume_run("a")
    list(begun)
    with pytest.raises(UsageError, match=r"^another process has written a/checkpoint\.pt since this run was opened"):
        stale.train()
    assert read_checkpoint(Path("a")).updates == 6
    assert not Path("a/lock").exists()


@pytest.mark.parametrize("count", [0, 2])
def test_updates_that_are_dropped_release_the_folder(count):
    updates = new_run(toy(SETTINGS), Path("a")).train()
    list(islice(updates, count))
    assert Path("a/lock").exists()
    del updates
    assert not Path("a/lock").exists()


def test_a_folder_is_released_where_the_program_now_is(begun, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    list(begun)
    assert not (tmp_path / "a" / "lock").exists()


def test_a_copy_of_a_folder_in_use_is_free(begun):
    shutil.copytree("a", "b")
    assert Path("b/lock").exists()
    list(resume_run("b").train())
    list(begun)
    assert_same_run(Path("a"), Path("b"))


def test_a_run_that_is_refused_leaves_no_lock():
    with pytest.raises(UsageError, match="every"):
        new_run(toy({**SETTINGS, "watch.divergence.every": "-1"}), Path("a")).train()
    assert list(Path().iterdir()) == []


def test_without_file_locks_a_run_goes_on_with_a_warning(monkeypatch):
    monkeypatch.setattr("fcntl.flock", lambda *given: (_ for _ in ()).throw(OSError(errno.ENOLCK, "No locks")))
    with pytest.warns(Notice, match="without them nothing keeps a second process from training in a$"):
        updates = new_run(toy(SETTINGS), Path("a")).train()
    list(updates)
    assert read_checkpoint(Path("a")).updates == 6
    assert not Path("a/lock").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_cannot_hold_the_lock_is_one_line(begun, monkeypatch, number):
    begun.close()
    real = os.link

    def refuse(source, target):
        if str(target).endswith("lock"):
            raise OSError(number, os.strerror(number))
        real(source, target)

    monkeypatch.setattr(os, "link", refuse)
    before = everything()
    with pytest.raises(Unwritten, match=rf"^cannot write .*a/lock: {os.strerror(number)}$"):
        resume_run("a").train()
    assert everything() == before
