"""Processes that are killed at instants given as fractions of a run, and where they were then."""

import os
import random
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import marked
from marked import Mark
from starting import OUTPUTS, forked, started

Where = Literal["start", "update", "write", "metrics", "rollback", "end"]
Victim = Literal["rank 0", "rank 1", "all"]
# How many of 100 instants are of each sort. All but those of "update" are rare if instants are uniform over a run.
SHARES: dict[Where, int] = {"start": 5, "update": 40, "write": 30, "metrics": 5, "rollback": 10, "end": 10}
HANG = 300.0  # seconds after which a process counts as hung; nothing is measured by it


@dataclass(frozen=True)
class Instant:
    """When a process is killed.

    Attributes:
        where: In its start, in any phase of an update, in a write of a checkpoint or of a line of metrics, in the
            rollback, or at the end.
        run: The update, as a fraction of all updates of the undisturbed run.
        within: The instant, as a fraction of the time that this takes.
        victim: Which process of several.
    """

    where: Where
    run: float
    within: float
    victim: Victim = "rank 0"


def instants(rng: random.Random, count: int, *, rollback: bool, processes: int) -> list[Instant]:
    """Instants of one run in the order of its updates."""
    shares = {where: share for where, share in SHARES.items() if rollback or where != "rollback"}
    kinds = rng.choices(list(shares), list(shares.values()), k=count)
    victims: list[Victim] = ["rank 0"] if processes == 1 else ["rank 0", "rank 1", "all"]
    drawn = [Instant(where, rng.random(), rng.random(), rng.choice(victims)) for where in kinds]
    # The end can only come last, and only once.
    ends = [one for one in drawn if one.where == "end"][:1]
    return [*sorted((one for one in drawn if one.where != "end"), key=lambda one: one.run), *ends]


@dataclass
class Process:
    """`ebmkit train` with marks, as one process or several.

    Args:
        words: What follows `ebmkit`.
        processes: How many processes the run has.
        place: Where the command is given; the pipe and the output are beside it.
        environment: What the environment has besides that of this process.
        fresh: Whether Python is started, by torchrun for several processes; else processes are forked from one that has
            imported everything, which takes a tenth of the time.
    """

    words: Sequence[str]
    processes: int
    place: Path
    environment: dict[str, str]
    fresh: bool
    marks: list[Mark] = field(default_factory=list)
    rest: bytes = b""

    def __post_init__(self) -> None:
        self.out = Path(tempfile.mkdtemp(prefix="out-", dir=self.place.parent))
        os.mkfifo(self.out / "pipe")
        self.pipe = os.open(self.out / "pipe", os.O_RDWR | os.O_NONBLOCK)  # also a writer, so that it has no end
        for name in OUTPUTS:
            (self.out / name).touch()
        environment = self.environment | {"OMP_NUM_THREADS": "1", marked.PIPE: str(self.out / "pipe")}
        self.began = time.monotonic()
        start = started if self.fresh else forked
        self.children = start(self.words, self.processes, self.place, self.out, environment)

    def codes(self) -> list[int | None]:
        """The exit code of each process; None while it runs."""
        return [one.poll() if isinstance(one, subprocess.Popen) else one.exitcode for one in self.children]

    def read(self, seconds: float) -> None:
        """Read the marks that are in the pipe, or come in this time."""
        if select.select([self.pipe], [], [], seconds)[0]:
            *lines, self.rest = (self.rest + os.read(self.pipe, 1 << 20)).split(b"\n")
            self.marks += [Mark.read(line.decode()) for line in lines]

    def first(self, wanted: Callable[[Mark], bool]) -> Mark | None:
        """Wait for the first such mark; None if the process ends without it."""
        until, seen = time.monotonic() + HANG, 0
        while True:
            ended = None not in self.codes()
            self.read(0.0 if ended else 0.5)
            for mark in self.marks[seen:]:
                if wanted(mark):
                    return mark
            seen = len(self.marks)
            if ended:
                return None
            if time.monotonic() > until:
                self.kill_all()
                raise TimeoutError(f"hung: {' '.join(self.words)}: last mark {self.marks[-1:]}")

    def kill(self, victim: Victim) -> Mark | None:
        """Kill a process, and return where it was; None if the run had ended before.

        Others of the run that survive must then end by themselves.
        """
        self.read(0.0)
        rank = 1 if victim == "rank 1" else 0
        if self.processes == 1 or victim == "all":
            self.kill_all()
        else:
            self.send(signal.SIGKILL, rank)
        code, codes = self.wait(), self.codes()
        if not (-signal.SIGKILL in codes or (self.fresh and self.processes > 1 and code)):
            return None
        return next((mark for mark in reversed(self.marks) if mark.rank == rank), None)

    def send(self, number: signal.Signals, rank: int = 0) -> None:
        """Send a signal to the process of this rank."""
        with suppress(ProcessLookupError):
            os.kill(self.pid(rank), number)

    def pid(self, rank: int = 0) -> int:
        """The process of this rank, which has written a mark."""
        return next(mark.pid for mark in self.marks if mark.rank == rank)

    def wait(self) -> int:
        """The exit code, once all processes have ended; 128 and more after a signal."""
        self.first(lambda mark: False)
        os.close(self.pipe)
        code = next((code for code in self.codes() if code), 0)
        return 128 - code if code < 0 else code

    def kill_all(self) -> None:
        """Kill every process of the run; those that torchrun starts are known by their marks."""
        for pid in {*(child.pid for child in self.children), *(mark.pid for mark in self.marks)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def whole(self) -> bool:
        """Whether the run has all of its updates."""
        return set(self.codes()) == {0} or "has all of its" in self.said

    def lines(self) -> list[str]:
        """The lines on stderr that are not blank."""
        return [line for line in (self.out / "stderr").read_text(errors="replace").splitlines() if line.strip()]

    @property
    def said(self) -> str:
        """The last line on stderr."""
        return (self.lines() or [""])[-1]
