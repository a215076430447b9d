"""Several processes at work on one study: each is `python -m ebmkit.study.workers FOLDER`.

They share nothing but the folder, so that processes of other terminals and machines can join them.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from ebmkit.errors import Interrupted, UsageError, one_line
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
    command = [sys.executable, "-m", "ebmkit.study.workers", str(folder)]
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) for _ in range(jobs)
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
                    values = json.loads(line)
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


def stop_at_end_of_input() -> None:
    """Ask this process to stop when its stdin is closed."""
    # Without sys.stdin, whose lock a thread that waits would hold while the interpreter ends.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(folder: Path) -> int:
    """Work on a study until there is nothing left for this process; print a line of JSON for every result."""
    from ebmkit.study.folder import Study

    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"  # as the command prints them
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    try:
        for result in Study(folder).run():
            print(json.dumps(asdict(result)), flush=True)
    except Interrupted:
        return 0
    except (UsageError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
