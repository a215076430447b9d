"""Trainings with a planted cause of a divergence, killed at random instants and resumed until each has ended.

`make kills` prints a table. Every training must end in the state, with the metrics and with the line of the one that
nobody disturbed. Each attempt is a fork of this process, so that it need not import torch again. The system ends it by
SIGPROF after some CPU time, which like SIGKILL runs no handler, but at instants that do not depend on the load of the
machine. Needs Linux or macOS.
"""

import os
import random
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch
from diverging_runs import TOY, toy
from planted_causes import plant
from training_runs import assert_same_run

from ebmkit.errors import Diverged
from ebmkit.registry.lookup import register
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.training import new_run, resume_run

KILLS = int(os.environ.get("KILLS", "12"))  # at least, for each row of the table
SETTINGS = {**TOY, "watch.checkpoints.every": "5", "train.iterations": "120"}
AT = "85"


def finish(place: Path, settings: dict[str, str]) -> None:
    """Begin or resume a run and make its updates; what it ends with is written beside the folder."""
    begun = (place / "checkpoint-before.pt").is_file()
    if place.is_dir() and not begun:
        for path in place.iterdir():
            path.unlink() if path.is_file() else None
    message = ""
    try:
        run = resume_run(place) if begun else new_run(toy(settings), place)
        if run.trainer.index < run.recipe.train.iterations:
            list(run.train())
    except Diverged as error:
        message = str(error).replace(str(place), "PLACE")
    place.with_suffix(".end").write_text(message)


def forked(work: Callable[[], Any], seconds: float = 0.0) -> float | None:
    """The CPU time of a process that did this work; None if it was killed, after this many `seconds` of it.

    Args:
        work: What it does.
        seconds: When it is killed; 0 for never.
    """
    process = os.fork()
    if process == 0:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    _, status, used = os.wait4(process, 0)
    if os.WIFSIGNALED(status):
        return None
    if status:
        raise SystemExit("a training failed")
    return used.ru_utime + used.ru_stime


def killed(place: Path, settings: dict[str, str], took: float, drawn: random.Random) -> list[int]:
    """Kill and resume a run until it has ended; the updates of its newest checkpoint after each kill, -1 for none."""
    seen = []
    while forked(lambda: finish(place, settings), drawn.uniform(0.0, took)) is None:
        newest = place / "checkpoint.pt"
        seen.append(read_checkpoint(place).updates if newest.is_file() else -1)
    return seen


def row(folder: Path, settings: dict[str, str], drawn: random.Random) -> list[int]:
    """What `killed` gives for runs of these settings, each compared with one that nobody disturbed."""
    straight, seen = folder / "straight", []
    took = forked(lambda: finish(straight, settings))
    while len(seen) < KILLS:
        place = folder / f"killed{len(seen)}"
        seen += killed(place, settings, took, drawn)
        assert place.with_suffix(".end").read_text() == straight.with_suffix(".end").read_text()
        assert_same_run(place, straight)
    return seen


def main() -> None:
    """Print a line for each cause and each policy."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    register("watcher", "plant", plant)
    print("| cause | on_divergence | kills | newest checkpoint after each kill | ended as undisturbed |")
    print("|---|---|---|---|---|")
    total = 0
    for number, (cause, policy) in enumerate(product(("weights", "batch", "rate"), ("stop", "rollback"))):
        settings = {**SETTINGS, "train.on_divergence": policy, "watch.plant.cause": cause, "watch.plant.at": AT}
        with tempfile.TemporaryDirectory() as folder:
            seen = row(Path(folder), settings, random.Random(number))
        total += len(seen)
        print(f"| {cause} | {policy} | {len(seen)} | {' '.join(map(str, seen))} | yes |", flush=True)
    print(f"{total} kills")


if __name__ == "__main__":
    main()
