"""The streams of the process: closed ones, those of another encoding, and those that cannot be written to."""

import codecs
import io
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, TextIO

from ebmkit.cli.letters import LETTERS

CHOSEN = ("replace", "ignore", "xmlcharrefreplace")  # error handlers that only a user can have asked for


def encodable(text: str, stream: TextIO | None) -> bool:
    """Whether a stream can write every letter of a text as it is."""
    encoding = "ascii" if isinstance(stream, Plain) else getattr(stream, "encoding", None) or "utf-8"
    ours = getattr(stream, "errors", "strict") in (LETTERS, "surrogateescape")
    try:
        text.encode(encoding, "surrogateescape" if ours else "strict")
    except UnicodeEncodeError:
        return False
    return True


class Lenient(io.FileIO):
    """A file whose errors are ignored: messages on a closed terminal or a full disk are lost, and nothing else is."""

    def write(self, data: Any, /) -> int:
        """Write what can be written, and claim to have written all."""
        rest = memoryview(data).cast("B")
        with suppress(OSError):
            while rest and (count := super().write(rest)):
                rest = rest[count:]
        return memoryview(data).nbytes


class Plain(io.TextIOWrapper):
    """A text stream whose bytes are ASCII; libraries that take an ASCII stream for a mistake write to this one."""

    def write(self, text: str, /) -> int:
        """Write text with other letters for those that ASCII does not have."""
        super().write(text.encode("ascii", LETTERS).decode("ascii", "surrogateescape"))
        return len(text)


def prepare() -> None:
    """Make stdout and stderr ready for a command.

    What is closed is replaced by the null device, also its descriptor, which the next file would get otherwise. Letters
    that a stream cannot encode are written as `other_letters` says, unless the environment says how. Errors of stderr
    are ignored: a run must not end because nobody reads its messages.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # the processes that a command starts have streams too
    os.close(descriptor)
    sys.stdout = adapted(sys.stdout)
    sys.stderr = adapted(sys.stderr, lenient=True)


def adapted(stream: TextIO | None, lenient: bool = False) -> TextIO:
    """A stream of the process with `LETTERS` as its error handler; the null device in place of None."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream or open(os.devnull, "w", encoding="utf-8")
    errors = stream.errors if stream.errors in CHOSEN else LETTERS
    ascii_only = codecs.lookup(stream.encoding).name == "ascii" and errors == LETTERS
    if not lenient and not ascii_only:
        stream.reconfigure(errors=errors)
        return stream
    stream.flush()
    # Without a buffer on stderr: a signal that arrives within a write may print a line itself.
    below: Any = Lenient(stream.fileno(), "w", closefd=False) if lenient else stream.buffer
    by_line, through = lenient or stream.line_buffering, lenient or stream.write_through
    if ascii_only:
        return Plain(below, "utf-8", "surrogateescape", line_buffering=by_line, write_through=through)
    return io.TextIOWrapper(below, stream.encoding, errors, line_buffering=by_line, write_through=through)


def silence_stdout() -> None:
    """Point stdout to the null device, so that what is still in its buffer cannot fail while the interpreter ends."""
    with suppress(OSError, ValueError, AttributeError):  # no file, as in a notebook, or closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def end_on_signals() -> None:
    """End by an exception on SIGINT, SIGTERM and SIGHUP, so that no half-written files are left.

    Those that are ignored stay ignored.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as it is while the command is being imported
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_at_once() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end the process without an exception, which Python would print while it ends.

    Those that are ignored stay ignored.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
