"""The faults that `make faults` plants, each in a run of its own."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from disks import filled
from killing import Process
from marked import Mark

from ebmkit.runs.checkpoint import NAME

AT = 22  # the update after which a fault is planted; the last checkpoint is that of update 20


@dataclass
class Case:
    """A run in which a fault is planted.

    Attributes:
        place: Where commands are given, a small disk if `mounted`; the run is in its folder `run`.
        mounted: Whether `place` is a disk of its own.
        words: The options that begin the run.
        environment: What the environment has besides that of this process.
        processes: How many processes the run has.
        seen: What the user sees of the fault: the lines on stderr, the exit code, and the seconds until then.
    """

    place: Path
    mounted: bool
    words: tuple[str, ...]
    environment: dict[str, str]
    processes: int = 1
    seen: tuple[list[str], int, float] = ([], 0, 0.0)

    def train(self, *words: str) -> Process:
        """A process of the run with these words; without any it begins the run, or resumes it."""
        begun = list((self.place / "run").glob("checkpoint*.pt"))
        usual = ("--resume", "run") if begun else (*self.words, "--out", "run")
        return Process(("train", *(words or usual), "-q"), self.processes, self.place, self.environment, fresh=False)

    def reached(self, wanted: Callable[[Mark], bool] = lambda mark: mark.index >= AT) -> Process:
        """A process of the run that has come to such a mark."""
        process = self.train()
        if process.first(wanted) is None:
            raise RuntimeError(f"the run ended too early: {process.lines()}")
        return process

    def killed(self) -> Path:
        """Kill the run after update AT, and return its folder."""
        self.reached().kill("all")
        return self.place / "run"

    def see(self, process: Process) -> None:
        """Wait for the end of a process, and note what the user sees."""
        since = time.monotonic()
        code = process.wait()
        lines = [line.replace(f"{self.place}/", "") for line in process.lines()]
        self.seen = (lines, code, time.monotonic() - since)

    def remount(self, option: str) -> None:
        """Mount the disk with another option."""
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.place)], check=True)


def undisturbed(case: Case) -> None:
    """No fault."""
    case.see(case.train())


def full_disk(case: Case) -> None:
    """The disk is full after update 22; then something is removed."""
    process = case.reached()
    with filled(process, case.mounted):
        case.see(process)


def full_disk_at_resume(case: Case) -> None:
    """A killed run is resumed on a disk that is full; then something is removed."""
    case.killed()
    process = case.reached(lambda mark: True)
    with filled(process, case.mounted):
        case.see(process)


def read_only(case: Case) -> None:
    """A killed run is resumed in a folder that cannot be written."""
    folder = case.killed()
    case.remount("ro") if case.mounted else folder.chmod(0o555)
    case.see(case.train())
    case.remount("rw") if case.mounted else folder.chmod(0o755)


def torn_metrics(case: Case) -> None:
    """The last line of the metrics is cut off."""
    metrics = case.killed() / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-40])
    case.see(case.train())


def two_writers(case: Case) -> None:
    """The run is resumed while it is at work."""
    with paused(case):
        case.see(case.train())


def two_beginners(case: Case) -> None:
    """A second run is begun in its folder while it is at work."""
    with paused(case):
        case.see(case.train(*case.words, "--out", "run"))


@contextmanager
def paused(case: Case) -> Iterator[None]:
    """The run does not end during the block, and does after it."""
    process = case.reached()
    process.send(signal.SIGSTOP)
    yield
    process.send(signal.SIGCONT)
    process.wait()


def signalled(*numbers: signal.Signals) -> Callable[[Case], None]:
    """The run gets these signals after update 22."""

    def plant(case: Case) -> None:
        process = case.reached()
        for number in numbers:
            process.send(number)
        case.see(process)

    return plant


def damaged(change: Callable[[bytearray], bytes]) -> Callable[[Case], None]:
    """The checkpoint of a killed run is changed, and the run resumed."""

    def plant(case: Case) -> None:
        checkpoint = case.killed() / NAME
        content = change(bytearray(checkpoint.read_bytes()))
        checkpoint.unlink()  # other names of this file are other files on a disk that loses one
        checkpoint.write_bytes(content)
        case.see(case.train())

    return plant


def flipped(content: bytearray) -> bytes:
    """One bit in the middle is another."""
    content[len(content) // 2] ^= 1
    return bytes(content)


def zeros(content: bytearray) -> bytes:
    """A block in the middle is zeros, as after a power failure."""
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    return bytes(content)


def killed_in_rollback(case: Case) -> None:
    """The run is killed while it is rolled back, and resumed."""
    case.reached(lambda mark: mark.phase.endswith("rollback/checkpoint")).kill("all")
    case.see(case.train())


def dead_rank(case: Case) -> None:
    """One of two processes is killed."""
    process = case.reached()
    process.send(signal.SIGKILL, 1)
    case.see(process)


def hung_rank(case: Case) -> None:
    """One of two processes hangs."""
    process = case.reached()
    process.send(signal.SIGSTOP, 1)
    since = time.monotonic()
    process.children[0].join()
    process.send(signal.SIGKILL, 1)
    case.see(process)
    case.seen = (*case.seen[:2], time.monotonic() - since)


def signalled_rank(case: Case) -> None:
    """One of two processes gets SIGTERM."""
    process = case.reached()
    process.send(signal.SIGTERM, 1)
    case.see(process)
