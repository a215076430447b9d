"""Claims of cells: one process at a time, and none that a dead process leaves in the way."""

import errno
import json
import os
import platform
import subprocess
import sys

import pytest

from ebmkit import claims
from ebmkit.claims import NoLocks, claim, holder
from ebmkit.errors import UsageError
from ebmkit.files import Unwritten

HOLD = """
import sys
from pathlib import Path
from ebmkit.claims import claim
with claim(Path(sys.argv[1])) as owner:
    print(owner or "mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holding(tmp_path):
    """`holding()` starts a process that claims `a`, and waits until it has."""
    started = []

    def start():
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", HOLD, str(tmp_path / "a")]
        one = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        started.append(one)
        return one, one.stdout.readline().strip()

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_a_claim_names_its_process_and_is_removed(tmp_path):
    with claim(tmp_path / "a") as owner:
        assert owner == ""
        assert json.loads((tmp_path / "a").read_text()) == {"host": platform.node(), "pid": os.getpid()}
    assert list(tmp_path.iterdir()) == []


def test_a_claim_is_removed_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), claim(tmp_path / "a"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_a_claim_of_a_living_process_is_respected(tmp_path, holding):
    process, said = holding()
    assert said == "mine"
    with claim(tmp_path / "a") as owner:
        assert owner == f"process {process.pid} on {platform.node()}"
    assert (tmp_path / "a").exists()


def test_a_claim_within_the_same_process_is_respected(tmp_path):
    with claim(tmp_path / "a") as owner, claim(tmp_path / "a") as other:
        assert owner == ""
        assert other == f"process {os.getpid()} on {platform.node()}"


def test_the_claim_of_a_killed_process_is_taken_over(tmp_path, holding):
    process, _ = holding()
    process.kill()
    process.wait()
    assert json.loads((tmp_path / "a").read_text())["pid"] == process.pid
    with claim(tmp_path / "a") as owner:
        assert owner == ""
        assert json.loads((tmp_path / "a").read_text())["pid"] == os.getpid()
        assert holding()[1] == f"process {os.getpid()} on {platform.node()}"
    assert list(tmp_path.iterdir()) == []


def test_the_claim_of_another_host_is_respected(tmp_path):
    text = json.dumps({"host": "elsewhere", "pid": 1})
    (tmp_path / "a").write_text(text)
    with claim(tmp_path / "a") as owner:
        assert owner == f"process 1 on elsewhere; if that process is dead, remove {tmp_path / 'a'}"
    assert (tmp_path / "a").read_text() == text


def test_a_file_that_was_removed_meanwhile_is_no_claim(tmp_path, monkeypatch):
    offer = claims.offer

    def removed(path):
        offer(path)
        path.unlink()

    monkeypatch.setattr(claims, "offer", removed)
    with claim(tmp_path / "a") as owner:
        assert owner == "another process"


def test_a_file_that_was_replaced_meanwhile_is_no_claim(tmp_path, monkeypatch):
    lock = claims.lock

    def replaced(handle):
        (tmp_path / "a").unlink()
        (tmp_path / "a").touch()
        return lock(handle)

    monkeypatch.setattr(claims, "lock", replaced)
    with claim(tmp_path / "a") as owner:
        assert owner != ""
    assert (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "cannot write {}: No space left on device"),
        (errno.EIO, "cannot write {}: Input/output error"),
    ],
)
def test_a_claim_that_cannot_be_made_says_why(tmp_path, monkeypatch, number, expected):
    def refuse(*paths):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises((Unwritten, UsageError)) as raised, claim(tmp_path / "a"):
        pass
    assert str(raised.value).endswith(expected.format(tmp_path / "a"))
    assert not list(tmp_path.iterdir())


def test_without_hard_links_a_claim_is_made_in_place(tmp_path, monkeypatch, holding):
    def refuse(*paths):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with claim(tmp_path / "a") as owner:
        assert owner == ""
        assert json.loads((tmp_path / "a").read_text()) == {"host": platform.node(), "pid": os.getpid()}
        with claim(tmp_path / "a") as other:
            assert other == f"process {os.getpid()} on {platform.node()}"
        assert holding()[1] == f"process {os.getpid()} on {platform.node()}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_without_file_locks_a_claim_is_refused_and_leaves_nothing(tmp_path, monkeypatch, number):
    def refuse(*given):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(NoLocks, match=r"^the disk has no file locks \(.*\); use another disk$"), claim(tmp_path / "a"):
        pass
    assert list(tmp_path.iterdir()) == []
    text = json.dumps({"host": "elsewhere", "pid": 1})
    (tmp_path / "a").write_text(text)
    with pytest.raises(NoLocks), claim(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == text


def test_another_error_of_a_lock_names_the_file(tmp_path, monkeypatch):
    def refuse(*given):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(Unwritten, match=r"^cannot write .*/a: Input/output error$"), claim(tmp_path / "a"):
        pass


def test_the_holder_of_a_claim_is_seen_without_claiming(tmp_path, holding):
    assert holder(tmp_path / "a") == ""
    process, _ = holding()
    assert holder(tmp_path / "a") == f"process {process.pid} on {platform.node()}"
    process.kill()
    process.wait()
    assert holder(tmp_path / "a") == ""
    (tmp_path / "a").write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    assert holder(tmp_path / "a").startswith("process 1 on elsewhere; if that process is dead, remove ")


def test_of_many_processes_one_has_the_claim(tmp_path):
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a")]
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(6)]
    said = [one.stdout.readline().strip() for one in processes]
    for one in processes:
        one.communicate()
    assert said.count("mine") == 1
    assert not (tmp_path / "a").exists()
