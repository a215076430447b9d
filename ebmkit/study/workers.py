"""Several processes at work on one study: each is `python -m ebmkit.study.worker FOLDER`.

They share nothing but the folder, so that processes of other terminals and machines can join them.
"""

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ebmkit.errors import Interrupted, UsageError
from ebmkit.files import json_of
from ebmkit.runs.signals import stop_signals
from ebmkit.study.results import Result

PATIENCE = 0.2  # seconds between looks at whether a signal has arrived


def results_of_workers(folder: Path, jobs: int, announce: Callable[[str], None]) -> Iterator[Result]:
    """The results of cells, as several processes of their own write them.

    The workers are in sessions of their own: Ctrl-C reaches this process only, which passes it on once. When this
    process ends, in whatever way, their stdin is closed, and they stop after the current update.

    Args:
        folder: The folder of the study.
        jobs: How many processes.
        announce: Called with a line for the user when a signal arrives.

    Raises:
        Interrupted: after a signal.
        UsageError: if a process ended with an error; what it printed is on stderr.
    """
    command = [sys.executable, *safe_path(), "-m", "ebmkit.study.worker", str(folder)]
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)  # noqa: S603 - this Python
        for _ in range(jobs)
    ]
    found: queue.Queue[str | None] = queue.Queue()
    for worker in workers:
        threading.Thread(target=forward, args=(worker.stdout, found), daemon=True).start()
    try:
        with stop_signals(announce) as stop:
            open_ends = jobs
            while open_ends:
                if stop.is_set():
                    dismiss(workers)
                try:
                    line = found.get(timeout=PATIENCE)
                except queue.Empty:
                    continue
                if line is None:
                    open_ends -= 1
                else:
                    values = json_of(line)
                    yield Result(**{**values, "measures": tuple(values["measures"])})
    finally:
        dismiss(workers)
        for worker in workers:
            worker.wait()
    if stop.is_set():
        raise Interrupted(f"stopped; go on with: ebmkit study {folder}")
    broken = [worker.returncode for worker in workers if worker.returncode]
    if broken:
        raise UsageError(f"{len(broken)} of {jobs} processes ended with an error, shown above")


def safe_path() -> list[str]:
    """The option of Python that keeps `-m` from importing from the current folder, unless this process does so too."""
    here = Path.cwd()
    return [] if any(Path(place).absolute() == here for place in sys.path) else ["-P"]


def forward(pipe: IO[str] | None, found: "queue.Queue[str | None]") -> None:
    """Put every line of a pipe in a queue, and None at its end."""
    for line in pipe or ():
        found.put(line)
    found.put(None)


def dismiss(workers: "list[subprocess.Popen[str]]") -> None:
    """Ask workers to stop, by closing their stdin."""
    for worker in workers:
        if worker.stdin is not None and not worker.stdin.closed:
            worker.stdin.close()
