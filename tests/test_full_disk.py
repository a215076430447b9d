"""Files that cannot be written: one line that names the file, and no update is lost that can be saved."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import SMALL, invoked, metrics, result_of, same_run, train, updates_of
from PIL import Image

from ebmkit.errors import UsageError
from ebmkit.files import Unwritten, replacing, write_text, writing
from ebmkit.runs import checkpoint, samples
from ebmkit.runs.checkpoint import Checkpoint, read_checkpoint
from ebmkit.runs.model_file import read_model_file
from ebmkit.runs.samples import write_samples
from ebmkit.runs.training import resume_run

pytestmark = pytest.mark.usefixtures("empty_folder")

ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS)


class Limited:
    """A limit on the size of files, as a disk has that is nearly full; writing beyond it is EFBIG."""

    def __init__(self, size: int) -> None:
        self.size, self.before = size, resource.getrlimit(resource.RLIMIT_FSIZE)
        self.bytecode = sys.dont_write_bytecode

    def __enter__(self) -> None:
        sys.dont_write_bytecode = True  # Python would cut the compiled file of a module that is imported now
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *raised: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        sys.dont_write_bytecode = self.bytecode


def failing(number: int, suffix: str, monkeypatch) -> None:
    """Make every file whose name ends in `suffix` fail when it replaces the old one."""
    real = os.replace

    def replace(old, new):
        if str(new).endswith(suffix):
            raise OSError(number, os.strerror(number))
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("number", ERRORS)
def test_an_error_of_the_system_names_the_file(number, monkeypatch):
    failing(number, "a.txt", monkeypatch)
    with pytest.raises(Unwritten) as raised:
        write_text(Path("a.txt"), "new")
    assert str(raised.value) == f"cannot write a.txt: {os.strerror(number)}"
    assert raised.value.errno == number
    assert list(Path().iterdir()) == []


def test_an_error_without_a_number_is_named_too():
    with pytest.raises(Unwritten, match=r"^cannot write a\.png: encoder error -2$"), writing(Path("a.png")):
        raise OSError("encoder error -2")


def test_an_error_of_reading_is_not_one_of_writing():
    with pytest.raises(FileNotFoundError), replacing(Path("a")):
        Path("absent").read_bytes()


def test_a_disk_without_room_for_modes_keeps_the_file(monkeypatch):
    monkeypatch.setattr(os, "chmod", lambda *given: (_ for _ in ()).throw(PermissionError(1, "not on this disk")))
    write_text(Path("a"), "new")
    assert Path("a").read_text() == "new"


def test_a_checkpoint_that_does_not_fit_says_why():
    train(*SMALL, "--iterations", "1", "--out", "a")
    saved, content = read_checkpoint(Path("a")), Path("a/checkpoint.pt").read_bytes()
    there = sorted(path.name for path in Path("a").iterdir())
    with Limited(4000), pytest.raises(Unwritten, match=r"^cannot write a/checkpoint\.pt: File too large$"):
        saved.write(Path("a"))
    assert Path("a/checkpoint.pt").read_bytes() == content
    assert sorted(path.name for path in Path("a").iterdir()) == there


class Room:
    """A disk that has room for this many checkpoints beside the one that is written; then writing is ENOSPC."""

    def __init__(self, monkeypatch, count: int, number: int = errno.ENOSPC) -> None:
        self.real, self.count, self.number = checkpoint.save, count, number
        monkeypatch.setattr(checkpoint, "save", self.save)

    def save(self, state, path: Path) -> None:
        there = {one.stat().st_ino for one in path.parent.parent.glob("checkpoint*.pt")}
        if len(there) > self.count:
            raise OSError(self.number, os.strerror(self.number))
        self.real(state, path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_gives_up_the_one_before_first(monkeypatch, number):
    train(*SMALL, "-s", "watch.checkpoints.every=0", "--iterations", "2", "--out", "a")
    saved = read_checkpoint(Path("a"))
    Room(monkeypatch, 2, number)  # those of the updates 0, 1 and 2 are there
    os.link("a/checkpoint-previous.pt", "a/checkpoint-next.pt")
    with pytest.raises(Unwritten):
        saved.write(Path("a"))
    assert read_checkpoint(Path("a"), "checkpoint-previous.pt").updates == 1
    Path("a/checkpoint-next.pt").unlink()
    saved.write(Path("a"))
    assert read_checkpoint(Path("a"), "checkpoint-previous.pt").updates == 2


def test_a_full_disk_keeps_the_newest_and_the_one_before_if_nothing_helps(monkeypatch):
    train(*SMALL, "-s", "watch.checkpoints.every=0", "--iterations", "2", "--out", "a")
    saved, content = read_checkpoint(Path("a")), Path("a/checkpoint.pt").read_bytes()
    Room(monkeypatch, 0, errno.EIO)
    with pytest.raises(Unwritten, match=r"^cannot write a/checkpoint\.pt: Input/output error$"):
        saved.write(Path("a"))
    assert Path("a/checkpoint-previous.pt").exists()
    Room(monkeypatch, 0)
    with pytest.raises(Unwritten, match=r"^cannot write a/checkpoint\.pt: No space left on device$"):
        saved.write(Path("a"))
    assert Path("a/checkpoint.pt").read_bytes() == content
    assert not list(Path("a").glob(".new-*"))


def test_an_error_of_torch_that_is_not_of_the_disk_stays():
    state = Checkpoint("", (1,), "cpu", "", torch.zeros(1), {"index": lambda: None})
    with pytest.raises(UsageError, match=r"cannot be saved and read again: trainer\.index is a builtins\.function"):
        state.write(Path())


@pytest.mark.parametrize("number", ERRORS)
def test_a_run_stops_with_a_line_and_can_be_resumed(number, monkeypatch):
    with monkeypatch.context() as patch:
        failing(number, "000002.png", patch)
        words = ("--iterations", "4", "-s", "watch.pictures.every=2", "--out", "a")
        stdout, stderr = train(*SMALL[:-2], *words, code=1)
    assert stdout == ""
    place = Path("a/samples/000002.png").absolute()
    assert stderr == f"error: cannot write {place}: {os.strerror(number)}; resume with: ebmkit train --resume a\n"
    assert updates_of("a") == 2
    train("--resume", "a")
    assert updates_of("a") == 4
    assert [line["update"] for line in metrics("a")] == [1, 2, 3, 4]


def test_metrics_that_cannot_be_written_stop_and_save_a_run(monkeypatch):
    @contextmanager
    def full(path):
        with writing(path):
            if path.exists() and len(metrics("a")) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield

    with monkeypatch.context() as patch:
        patch.setattr("ebmkit.watchers.metrics.writing", full)
        _, stderr = train(*SMALL, "--iterations", "9", "--out", "a", code=1)
    assert "metrics.jsonl: No space left on device; resume with: ebmkit train --resume a\n" in stderr
    assert updates_of("a") == 3
    run = resume_run("a", {"train": {"iterations": 5}})
    updates = run.train()
    next(updates)
    assert [line["update"] for line in metrics("a")] == [1, 2, 3, 4]
    shutil.copytree("a", "killed")
    updates.close()
    for name in ("a", "killed"):  # the killed run has no checkpoint after the one with the line that was not written
        train("--resume", name, "--iterations", "5")
    train(*SMALL, "--iterations", "5", "--out", "b")
    assert same_run("a", "b")
    assert same_run("killed", "b")


@pytest.mark.parametrize("name", ["config.toml", "env.json"])
def test_a_folder_that_cannot_be_filled_is_removed(name, monkeypatch):
    failing(errno.ENOSPC, name, monkeypatch)
    _, stderr = train(*SMALL, "--iterations", "1", "--out", "deep/a", code=1)
    assert stderr == f"error: cannot write deep/a/{name}: No space left on device\n"
    assert list(Path().iterdir()) == []


def test_a_process_with_a_limit_on_files_ends_with_a_line():
    command = [sys.executable, "-m", "ebmkit", "train", *SMALL, "--iterations", "3", "--out", "a", "-q"]
    limit = f"ulimit -f 3; exec {' '.join(command)}"
    done = subprocess.run(["bash", "-c", limit], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {Path('a/checkpoint-before.pt').absolute()}: File too large\n"
    assert sorted(path.name for path in Path("a").iterdir()) == ["config.toml", "env.json"]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("sample", "digits"), "digits/generated/samples.png"),
        (("sample", "digits", "--out", "a.npz"), "a.npz"),
        (("reconstruct", "digits", "-n", "1", "--updates", "1"), "digits/generated/reconstruction.png"),
        (("interpolate", "digits", "--rows", "1"), "digits/generated/interpolation.png"),
        (("long-run", "digits", "-n", "1", "--times", "1"), "digits/generated/long-run.png"),
        (("export", "digits", "a.safetensors"), "a.safetensors"),
    ],
)
def test_a_command_names_the_file_that_does_not_fit(words, file):
    with Limited(100):
        result = result_of(*words, code=1)
    assert result.stderr.splitlines()[-1] == f"error: cannot write {file}: File too large"
    assert not Path(file).exists()
    assert not list(Path().rglob(".new-*"))


@pytest.mark.usefixtures("models")
def test_measures_are_shown_before_they_are_written(monkeypatch):
    failing(errno.EROFS, "evaluation.json", monkeypatch)
    stdout, stderr = invoked("evaluate", "digits", "-n", "20", "-s", "features.size=1", code=1)
    assert stdout.startswith("measure")
    assert stderr.endswith("error: cannot write digits/evaluation.json: Read-only file system\n")


def test_samples_without_room_are_refused_before_the_chains(monkeypatch):
    monkeypatch.setattr(samples.shutil, "disk_usage", lambda place: type("", (), {"free": 100})())
    with pytest.raises(UsageError, match=r"^26 samples need 104 bytes, and the disk of a\.npy has 100 free; make room"):
        write_samples(iter(()), (26, 1), Path("a.npy"))
    assert write_samples(iter([torch.ones(25, 1)]), (25, 1), Path("a.npy")).nonfinite == 0


def test_samples_are_written_as_numpy_writes_them():
    x = torch.randn(7, 3, 5)
    write_samples(iter([x[:4], x[4:]]), (7, 3, 5), Path("a.npy"))
    np.save("b.npy", x.numpy())
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


@pytest.mark.usefixtures("models")
def test_an_exported_file_is_complete_or_absent():
    invoked("export", "digits", "a.safetensors")
    before = Path("a.safetensors").read_bytes()
    with Limited(100):
        result_of("export", "digits", "a.safetensors", "--force", code=1)
    assert Path("a.safetensors").read_bytes() == before
    assert read_model_file(Path("a.safetensors")).updates == 3


def test_a_picture_of_a_run_is_complete_or_absent(monkeypatch):
    monkeypatch.setattr(Image.Image, "save", lambda self, path: Path(path).write_bytes(b"half") and 1 / 0)
    result_of("train", *SMALL[:-2], "--iterations", "1", "--out", "a", "-q", code=1)
    assert not list(Path("a/samples").iterdir())
