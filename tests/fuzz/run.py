"""The inputs of a kind, tried one after another in a process of their own, which may die."""

import importlib.util
import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from fuzz import arrays, hub, images, models, plugins, runs, settings, studies
from fuzz.guard import Fault, fault_of
from fuzz.kind import BATCH, Kind
from fuzz.settings import run_command

KINDS = {
    kind.name: kind
    for module in (settings, arrays, images, hub, models, runs, studies, plugins)
    for kind in module.KINDS
}
ADDRESSES = 4 * 2**30  # bytes of address space that a process may add
PATIENCE = 120.0  # seconds without a word after which a process hangs in code that no signal interrupts
EVERY = 400  # one of this many inputs is read by the command line too


class Failure(NamedTuple):
    """An input that failed.

    Attributes:
        kind: The name of its kind.
        number: Its number.
        content: The input.
        fault: What went wrong.
    """

    kind: str
    number: int
    content: bytes
    fault: Fault


def missing(kind: Kind) -> bool:
    """Whether a package that a kind needs is missing."""
    return bool(kind.package) and importlib.util.find_spec(kind.package) is None


def inputs(kind: Kind, seeds: list[bytes], seed: int, first: int, count: int) -> Iterator[tuple[int, bytes]]:
    """The inputs of a kind from number `first` to `count`, with their numbers."""
    for batch in range(first // BATCH, -(-count // BATCH)):
        for number, content in enumerate(kind.batch(seeds, seed, batch), start=batch * BATCH):
            if first <= number < count:
                yield number, content


def try_one(kind: Kind, folder: Path, content: bytes, *, by_command: bool = False) -> Fault | None:
    """What goes wrong with one input, read by its function; or by its command."""
    (folder / kind.place).write_bytes(content)
    return fault_of((lambda place: run_command(place, kind.words)) if by_command else kind.read, folder)


def try_all(kind: Kind, folder: Path, seed: int, first: int, count: int) -> Iterator[tuple[int, bytes, Fault | None]]:
    """Every input of a kind, with what went wrong, if anything did."""
    seeds = kind.prepare(folder)
    for number, content in inputs(kind, seeds, seed, first, count):
        yield number, content, None  # announced, before it is tried
        fault = try_one(kind, folder, content)
        if fault is None and kind.words and number % EVERY == EVERY // 2:
            fault = try_one(kind, folder, content, by_command=True)
        if fault is not None:
            yield number, content, fault


def child(name: str, seed: int, first: int, count: int, pipe: Connection) -> None:
    """Try the inputs of a kind, and send what happens."""
    limit_addresses()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent:
        folder = Path(parent) / "inputs"
        folder.mkdir()
        os.chdir(folder)
        tempfile.tempdir = str(folder)
        os.environ.update(EBMKIT_PLUGINS="none", HF_HUB_OFFLINE="1", HOME=str(folder), XDG_CACHE_HOME=str(folder))
        printed = os.open(Path(parent) / "printed", os.O_RDWR | os.O_CREAT)
        sys.stdout.flush()
        for stream in (1, 2):
            os.dup2(printed, stream)
        size = 0
        for number, content, fault in try_all(KINDS[name], folder, seed, first, count):
            pipe.send((number, fault, content))
            sys.stdout.flush()
            sys.stderr.flush()
            if (now := os.fstat(printed).st_size) > size and not KINDS[name].prints:
                text = os.pread(printed, 300, size).decode(errors="replace")
                pipe.send((number, Fault("printed", text[:200]), content))
                size = now
    pipe.send(None)


def limit_addresses() -> None:
    """Let this process add only so much to its address space, so that the machine is safe."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ADDRESSES,) * 2)


def failures(kind: Kind, seed: int, count: int) -> Iterator[Failure | int]:
    """Every failure of a kind, and at last how many inputs were tried; a process that dies is replaced."""
    # A forked process has everything imported; on macOS the libraries of the system do not survive it.
    first, context = 0, multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    while first < count:
        mine, its = context.Pipe()
        process = context.Process(target=child, args=(kind.name, seed, first, count, its))
        process.start()
        its.close()
        last, content, reason = first - 1, b"", ""
        try:
            while mine.poll(PATIENCE):
                message = mine.recv()
                if message is None:
                    last = count
                    break
                last, fault, content = message
                if fault is not None:
                    yield Failure(kind.name, last, content, fault)
            else:
                reason = f"no answer in {PATIENCE:g} s"
        except EOFError:
            process.join()
            reason = f"the process ended with code {process.exitcode}"
        finally:
            if process.is_alive() and last < count:
                process.kill()
            process.join()
        if last < count:
            if last < first:
                raise RuntimeError(f"{kind.name} cannot be prepared: {reason}")
            yield Failure(kind.name, last, content, Fault("hang" if "answer" in reason else "died", reason))
        first = last + 1
    yield count
