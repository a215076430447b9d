"""The watcher that writes the scalars of every update to a file."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ebmkit.errors import check
from ebmkit.evaluation.training_curves import METRICS
from ebmkit.files import Unwritten, json_line, writing
from ebmkit.methods.method import Method
from ebmkit.watchers.scalars import Updates, scalars_of

UNWRITTEN = "unwritten"  # in the checkpoint: the lines that the disk had no room for


def write_metrics(
    updates: Updates,
    trainer: Method,
    folder: Path,
    memory: dict[str, Any] | None = None,
    hold: Callable[[BaseException], None] | None = None,
    *,
    every: int = 1,
) -> Updates:
    """Append a line to `metrics.jsonl` for every N-th update, and flush it.

    A line has the number of the `update`, its scalars, `seconds_per_update` since the line before, and, for samplers
    that imply a temperature, `noise_size`: the root mean square length of the noise of one step. Lines that cannot be
    written stay in `memory`, and are written when the run is resumed; `hold` gets the error and stops the run, which
    may make another update before.

    Args:
        every: Write every N-th update; 0 writes none.

    Raises:
        UsageError: if `every` is negative.
        Unwritten: if a line cannot be written and there is no `hold`.
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
            kept[UNWRITTEN] = f"{kept.get(UNWRITTEN, '')}{line}\n"
            try:
                with writing(path):
                    file.write(line + "\n")
                    file.flush()  # of what could not be written before too, which is still in the buffer
            except Unwritten as error:
                if hold is None:
                    raise
                hold(error)
            else:
                del kept[UNWRITTEN]

        try:
            late = kept.pop(UNWRITTEN, "").splitlines()
            there = path.read_text(encoding="utf-8", errors="replace").splitlines() if late else []
            for line in late:
                if line not in there:  # it is, if the run was killed before its next checkpoint
                    write(line)
            for update in updates:
                counted += 1
                if every and update.index % every == 0:
                    values: dict[str, Any] = {"update": update.index, **scalars_of(update)}
                    if noise is not None and update.fake is not None:
                        values["noise_size"] = noise * math.sqrt(update.fake[0].numel())
                    now = time.perf_counter()
                    values["seconds_per_update"] = round((now - since) / counted, 6)
                    since, counted = now, 0
                    write(json_line(values))
                yield update
        finally:
            with suppress(OSError):  # of a line that could not be written above, which closing tries again
                file.close()

    return watched()
