"""The watcher that writes the report of a run while it trains."""

from pathlib import Path
from typing import Literal

from ebmkit.data.examples import Examples
from ebmkit.errors import check
from ebmkit.methods.method import Method
from ebmkit.report.page import write_page
from ebmkit.watchers.periods import due_updates
from ebmkit.watchers.scalars import Updates, chains_at_once


def write_report(
    updates: Updates,
    trainer: Method,
    folder: Path,
    examples: Examples,
    iterations: int,
    *,
    every: int | None = None,
    full: Literal["end", "always", "never"] = "end",
    count: int = 64,
    chains: int = 8,
    reconstruction_updates: int = 200,
) -> Updates:
    """Write `report.html` in the folder of the run: samples, curves, energies, settings, and more at the end.

    Args:
        every: Write at every N-th update and at the last; None writes ten times in the run, 0 never.
        full: When to include the slow sections: at the end, always or never.
        count: How many samples are drawn, at least 2; of points in the plane, 64 times this many.
        chains: How many chains are shown in a row or a column of pictures, from 1 to `count`.
        reconstruction_updates: The number of updates of each reconstruction.

    Raises:
        UsageError: if a setting is out of range.
    """
    due = due_updates(every, iterations)
    check("count", count, at_least=2)
    check("chains", chains, at_least=1, at_most=count)
    check("reconstruction_updates", reconstruction_updates, at_least=1)

    def page(batch: int, complete: bool) -> None:
        write_page(
            trainer.short_run(),
            examples,
            folder,
            device=trainer.rng.device,
            full=complete,
            count=count,
            chains=min(chains, batch),
            updates=reconstruction_updates,
            batch=batch,
        )

    def watched() -> Updates:
        for update in updates:
            if due(update.index):
                last = update.index == iterations
                page(chains_at_once(update), full == "always" or (full == "end" and last))
            yield update

    return watched()
