"""What may not happen while an input is read: any exception but a `UsageError`, and whatever leaves the bounds."""

import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from ebmkit.errors import UsageError

SECONDS = 5.0  # of processor time for one input
MEMORY = 256 * 2**20  # bytes by which one input may raise the peak of the resident memory
LETTERS = 1000  # of the message of an error
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events of the interpreter, by the positions of the paths that they change.
CHANGES = {
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime"), (0,)),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), (0, 1)),
}
FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "socket.connect",
    "pickle.find_class",
)

HARMLESS = ("git", "uname")  # programs that say where a run was made


class Fault(NamedTuple):
    """What went wrong with an input.

    Attributes:
        what: The kind of fault: exception, message, hang, escape, memory, warning, printed, or died.
        text: What happened, and where.
    """

    what: str
    text: str


class Hang(BaseException):
    """An input takes too long."""


class Outside:
    """What the code that reads did outside its folder, while it is watched."""

    folder: str | None = None
    found: list[str]
    installed = False


def hook(event: str, values: tuple[Any, ...]) -> None:
    """Record what leaves the watched folder, or starts something."""
    if Outside.folder is None:
        return
    if event in FORBIDDEN and not str(values[0]).endswith(HARMLESS):
        Outside.found.append(f"{event} {values!r}"[:300])
    elif event == "open":
        path, mode, flags = values
        if isinstance(path, str | bytes) and (flags or 0) & WRITES and not is_inside(path):
            Outside.found.append(f"{event} {path!r} {mode!r}"[:300])
    elif event in CHANGES:
        for position in CHANGES[event]:
            if isinstance(values[position], str | bytes) and not is_inside(values[position]):
                Outside.found.append(f"{event} {values!r}"[:300])


def is_inside(path: str | bytes) -> bool:
    """Whether a path is in the watched folder, or is the null device."""
    full = os.path.realpath(os.fsdecode(path))
    return full == os.devnull or f"{full}{os.sep}".startswith(f"{Outside.folder}{os.sep}")


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """What the block does outside a folder; the temporary folder of the system, where it is another, is outside too."""
    if not Outside.installed:  # a hook cannot be removed
        sys.addaudithook(hook)
        Outside.installed = True
    Outside.found = []
    Outside.folder = os.path.realpath(folder)
    try:
        yield Outside.found
    finally:
        Outside.folder = None


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `Hang` in the block after this much processor time."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def peak() -> int:
    """The peak of the resident memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def fault_of(read: Callable[[Path], Any], folder: Path) -> Fault | None:
    """What goes wrong when the input in a folder is read; None if nothing does."""
    before = peak()
    with warnings.catch_warnings(record=True) as given, watched(folder) as outside:
        warnings.simplefilter("always")
        fault = None
        try:
            with limited(SECONDS):
                read(folder)
        except UsageError as error:
            fault = fault_of_message(str(error))
        except Hang as error:
            fault = Fault("hang", f"{error} at {location(error)}")
        except BaseException as error:
            fault = Fault("exception", f"{type(error).__name__}: {str(error)[:200]!r} at {location(error)}")
    if outside:
        return Fault("escape", outside[0])
    if fault is not None:
        return fault
    if (grown := peak() - before) > MEMORY:
        return Fault("memory", f"{grown / 2**20:.0f} MiB")
    for one in given:
        # A `UserWarning` is for the user, and a command shows it as one line; any other is about our own code.
        if not issubclass(one.category, UserWarning) and f"{os.sep}ebmkit{os.sep}" in one.filename:
            return Fault(
                "warning", f"{one.category.__name__}: {str(one.message)[:200]!r} at {one.filename}:{one.lineno}"
            )
    return None


def fault_of_message(message: str) -> Fault | None:
    """What is wrong with the message of an error for users."""
    if "\n" in message:
        return Fault("message", f"of several lines: {message[:200]!r}")
    if len(message) >= LETTERS:
        return Fault("message", f"of {len(message)} letters: {message[:200]!r}")
    return None if message.strip() else Fault("message", "empty")


def location(error: BaseException) -> str:
    """The innermost line of this package, and the innermost line of all, of an exception."""
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if f"{os.sep}ebmkit{os.sep}" in frame]
    return " < ".join(Path(frame).name for frame in dict.fromkeys([*own[-1:], *frames[-1:]]))
