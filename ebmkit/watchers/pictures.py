"""The watcher that draws samples and chains during a run."""

import math
from pathlib import Path

import torch
from torch import Generator

from ebmkit.data.examples import Examples
from ebmkit.errors import check
from ebmkit.files import replacing, writing
from ebmkit.methods.method import Method
from ebmkit.methods.update import Update
from ebmkit.pictures import beside, drawable, drawn_count, grid, strip
from ebmkit.watchers.periods import due_updates
from ebmkit.watchers.scalars import Updates, chains_at_once


def draw_pictures(
    updates: Updates,
    trainer: Method,
    folder: Path,
    examples: Examples,
    iterations: int,
    *,
    every: int | None = None,
    count: int = 64,
    chains: int = 8,
) -> Updates:
    """Draw samples beside real examples, and chains from start to end, as PNG files in the folder of the run.

    Args:
        every: Draw at every N-th update and at the last; None draws ten times in the run, 0 never.
        count: How many samples are drawn, at least 1; of points in the plane, 64 times this many.
        chains: How many chains are drawn from start to end, from 1 to `count`.

    Raises:
        UsageError: if a setting is out of range.
        Unwritten: if a picture cannot be written.
    """
    due = due_updates(every, iterations)
    check("count", count, at_least=1)
    check("chains", chains, at_least=1, at_most=count)

    def watched() -> Updates:
        for update in updates:
            if due(update.index) and drawable(examples.shape):
                draw(trainer, folder, examples, update, count, chains)
            yield update

    return watched()


def draw(trainer: Method, folder: Path, examples: Examples, update: Update, count: int, chains: int) -> None:
    """Write `samples/<index>.png` and `chains/<index>.png`.

    The generator is seeded here and the same each time: drawing does not change the run, and pictures can be compared.
    """
    count = drawn_count(examples.shape, count)
    rows = count if examples.shape == (2,) else chains
    rng = Generator(trainer.rng.device).manual_seed(0)
    samples, trajectory = trainer.short_run().trace(count, rng, rows=rows, looks=5, batch=chains_at_once(update))
    real = examples.fetch(torch.randint(len(examples), (count,), generator=Generator().manual_seed(0)))
    columns = math.ceil(math.sqrt(count))
    for name, picture in {
        "samples": beside({"real": grid(real, columns), f"samples, update {update.index}": grid(samples, columns)}),
        "chains": strip(trajectory),
    }.items():
        path = folder / name / f"{update.index:06d}.png"
        with replacing(path) as new, writing(path):
            picture.save(new)
