"""The watcher that writes the scalars of every update to a file."""

import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ebmkit.errors import check
from ebmkit.evaluation.training_curves import METRICS
from ebmkit.files import json_line, writing
from ebmkit.methods.method import Method
from ebmkit.watchers.scalars import Updates, scalars_of

UNWRITTEN = "unwritten"  # in the checkpoint: the line of its last update, if the disk had no room for it


def write_metrics(
    updates: Updates, trainer: Method, folder: Path, memory: dict[str, Any] | None = None, *, every: int = 1
) -> Updates:
    """Append a line to `metrics.jsonl` for every N-th update, and flush it.

    A line has the number of the `update`, its scalars, `seconds_per_update` since the line before, and, for samplers
    that imply a temperature, `noise_size`: the root mean square length of the noise of one step. A line that cannot be
    written stays in `memory`, and is written when the run is resumed.

    Args:
        every: Write every N-th update; 0 writes none.

    Raises:
        UsageError: if `every` is negative.
        Unwritten: if a line cannot be written.
    """
    check("every", every, at_least=0)
    short = trainer.short_run()
    # Only a sampler that implies a temperature adds noise of the same size in every step. States that are decoded are
    # in another space than the examples.
    noise = None if short.decode is not None or short.sampler.implied_temperature is None else short.sampler.noise
    kept = {} if memory is None else memory

    def watched() -> Updates:
        since, counted = time.perf_counter(), 0
        path = folder / METRICS
        with writing(path):
            file = path.open("a", encoding="utf-8")

        def write(line: str) -> None:
            kept[UNWRITTEN] = line
            with writing(path):
                file.write(line + "\n")
                file.flush()
            del kept[UNWRITTEN]

        try:
            late = kept.pop(UNWRITTEN, None)  # it is there already if the run was killed before its next checkpoint
            if late is not None and late not in path.read_text(encoding="utf-8", errors="replace").splitlines():
                write(late)
            for update in updates:
                counted += 1
                if every and update.index % every == 0:
                    line: dict[str, Any] = {"update": update.index, **scalars_of(update)}
                    if noise is not None and update.fake is not None:
                        line["noise_size"] = noise * math.sqrt(update.fake[0].numel())
                    now = time.perf_counter()
                    line["seconds_per_update"] = round((now - since) / counted, 6)
                    since, counted = now, 0
                    write(json_line(line))
                yield update
        finally:
            with suppress(OSError):  # of a line that could not be written above, which closing tries again
                file.close()

    return watched()
