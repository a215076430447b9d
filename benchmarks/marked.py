"""`ebmkit train` with a mark in a pipe wherever its work changes: the process that `make chaos` kills.

The command is the real one. Functions of ebmkit are wrapped from outside, so that the library knows nothing of it; the
wrappers change no result. By the environment, a planted update makes the energy steep, as a blow-up does, every
checkpoint is also kept under another name, and the process pauses before and after it writes a line of metrics.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

PIPE, TURN, STATES, PAUSE = "CHAOS_PIPE", "CHAOS_TURN", "CHAOS_STATES", "CHAOS_PAUSE"
STEEPER, RATE = 1e4, 6e-4  # how many times steeper the energy is made, and above which learning rate


class Mark(NamedTuple):
    """One line of the pipe: when the work of a process changed, and to what.

    Attributes:
        seconds: The clock of the machine.
        pid: The process.
        rank: Its place among the processes of the run.
        rollbacks: How often the run was rolled back.
        index: How many updates it has made.
        phase: What the process does from here on; the innermost of nested phases comes last, after a slash.
    """

    seconds: float
    pid: int
    rank: int
    rollbacks: int
    index: int
    phase: str

    @classmethod
    def read(cls, line: str) -> "Mark":
        """The mark of a line."""
        seconds, pid, rank, rollbacks, index, phase = line.split()
        return cls(float(seconds), int(pid), int(rank), int(rollbacks), int(index), phase)


class Marks:
    """Writes the marks of this process; a line is written as a whole, for it is shorter than a pipe's buffer."""

    def __init__(self) -> None:
        self.pipe = os.open(os.environ[PIPE], os.O_WRONLY)
        self.rank = int(os.environ.get("RANK", "0"))
        self.phases = ["starting"]
        self.rollbacks = self.index = 0

    def write(self) -> None:
        """Write what the process does now."""
        mark = (time.monotonic(), os.getpid(), self.rank, self.rollbacks, self.index, "/".join(self.phases))
        os.write(self.pipe, (" ".join(map(str, mark)) + "\n").encode())

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """A block that is a phase of its own."""
        self.phases.append(phase)
        self.write()
        try:
            yield
        finally:
            self.phases.pop()
            self.write()

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """Make every call of a function a phase of its own."""
        function = getattr(owner, name)

        @wraps(function)
        def marked(*given: Any, **named: Any) -> Any:
            with self.within(phase):
                return function(*given, **named)

        setattr(owner, name, marked)


def mark_phases(marks: Marks) -> None:
    """Mark the phases of a training."""
    from ebmkit.methods.maximum_likelihood import Trainer
    from ebmkit.runs import run as runs
    from ebmkit.runs.checkpoint import Checkpoint
    from ebmkit.runs.diverging import EarlierCheckpoints
    from ebmkit.watchers import metrics

    for owner, name, phase in (
        (Trainer, "chains", "chain"),
        (Trainer, "follow_gradient", "gradient"),
        (Checkpoint, "write_to", "checkpoint"),
        (EarlierCheckpoints, "keep", "checkpoint"),
        (runs.Run, "train", "folder"),
        (runs, "roll_back", "rollback"),
    ):
        marks.wrap(owner, name, phase)
    writing, pause = metrics.writing, float(os.environ.get(PAUSE, "0"))

    @contextmanager
    def marked_writing(path: Path) -> Iterator[None]:
        with marks.within("metrics"), writing(path):
            time.sleep(pause)
            yield
            time.sleep(pause)

    metrics.writing = marked_writing


def count_updates(marks: Marks) -> None:
    """Have the marks say which update it is; the trial before a run is none of its updates."""
    from ebmkit.runs.state import RunState

    update = RunState.update

    def counted(run: RunState, batch: Any) -> Any:
        marks.phases[0] = "between"
        marks.rollbacks, marks.index = len(run.events), run.trainer.index
        made = update(run, batch)
        marks.index = run.trainer.index
        marks.write()
        return made

    RunState.update = counted


def plant_a_turn(at: int) -> None:
    """Make the energy steep after an update, if the learning rate is not lowered yet."""
    from ebmkit.methods.maximum_likelihood import Trainer

    follow: Callable[..., Any] = Trainer.follow_gradient

    def steepened(trainer: Trainer, *given: Any, **named: Any) -> Any:
        import torch

        update = follow(trainer, *given, **named)
        if trainer.index == at and trainer.optimizer.param_groups[0]["lr"] > RATE:
            with torch.no_grad():
                list(trainer.energy.parameters())[-2].mul_(STEEPER)
        return update

    Trainer.follow_gradient = steepened


def keep_states(marks: Marks, folder: Path) -> None:
    """Keep every `checkpoint.pt` as `ROLLBACKS-UPDATE.pt` too, by a link."""
    from ebmkit.runs.checkpoint import NAME, Checkpoint

    write = Checkpoint.write_to

    def kept(checkpoint: Checkpoint, path: Path, *given: Any) -> None:
        write(checkpoint, path, *given)
        if path.name == NAME:
            with suppress(FileExistsError):
                os.link(path, folder / f"{len(checkpoint.events)}-{checkpoint.updates}.pt")

    Checkpoint.write_to = kept


def register_rounded() -> None:
    """Register the energy `rounded`: an MLP with the rounding of a bf16 unit after each layer, on any CPU."""
    from ebmkit import register
    from ebmkit.energies.mlp import MLP

    class Rounded(MLP):
        """Energies and gradients rounded to bf16 after every layer; sums are in fp32, as in hardware."""

        def __init__(self, shape: tuple[int, ...], *, width: int = 128, depth: int = 3) -> None:
            super().__init__(shape, width=width, depth=depth)
            for layer in self.layers:
                layer.register_forward_hook(lambda layer, inputs, output: output.bfloat16().float())

    register("energy", "rounded", Rounded)


def main() -> None:
    """Run the command line with marks."""
    sys.dont_write_bytecode = True  # on a full disk Python would cut the compiled file of a module that it imports
    marks = Marks()
    marks.write()
    from ebmkit.__main__ import run

    if at := os.environ.get(TURN):
        plant_a_turn(int(at))
    mark_phases(marks)
    count_updates(marks)
    register_rounded()
    if folder := os.environ.get(STATES):
        keep_states(marks, Path(folder))
    run()


def in_a_child(words: Sequence[str], place: Path, outputs: Sequence[str], environment: dict[str, str]) -> None:
    """Run the command line in a process that was forked; `outputs` are the files for stdout and stderr."""
    os.setsid()  # a shell that ends sends signals to the stopped processes of its session
    os.chdir(place)
    os.environ |= environment
    for number in (signal.SIGHUP, signal.SIGINT):  # which `nohup`, or a shell in the background, has ignored
        signal.signal(number, signal.SIG_DFL if number == signal.SIGHUP else signal.default_int_handler)
    for number, name in enumerate(outputs, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    sys.argv = ["ebmkit", *words]
    main()


if __name__ == "__main__":
    sys.argv[0] = "ebmkit"
    main()
