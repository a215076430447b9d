"""The report while a run goes on."""

from pathlib import Path
from typing import Literal

from ebmkit.data.examples import Examples
from ebmkit.errors import check
from ebmkit.report.page import write
from ebmkit.shortrun import ShortRun
from ebmkit.training import Step, Trainer
from ebmkit.watch import Steps


def report(
    steps: Steps,
    trainer: Trainer,
    folder: Path,
    examples: Examples,
    iterations: int,
    *,
    every: int | None = None,
    full: Literal["end", "always", "never"] = "end",
    count: int = 64,
    chains: int = 8,
    updates: int = 200,
) -> Steps:
    """Write `report.html` in the run folder: samples, curves, energies, settings, and more at the end.

    Args:
        every: Write at each N-th step and at the last; none writes ten times in the run, 0 never.
        full: When to write the sections that take long: at the end, always or never.
        count: How many samples are drawn; points in the plane are 64 times as many.
        chains: How many chains a row or a column of pictures shows.
        updates: How many updates reconstructions get.
    """
    check("every", every or 0, at_least=0)
    check("count", count, at_least=2)
    check("chains", chains, at_least=1, at_most=count)
    check("updates", updates, at_least=1)
    period = max(1, iterations // 10) if every is None else every

    def watched() -> Steps:
        for step in steps:
            last = step.index == iterations
            if period and (step.index % period == 0 or last):
                everything = full == "always" or (full == "end" and last)
                page(trainer, folder, examples, step, everything, count, chains, updates)
            yield step

    return watched()


def page(
    trainer: Trainer,
    folder: Path,
    examples: Examples,
    step: Step,
    full: bool,
    count: int,
    chains: int,
    updates: int,
) -> None:
    """Write the report of a run as its trainer is now; no more chains run at once than in an update."""
    batch = len(step.fake)
    write(
        ShortRun(trainer.chain_energy(trainer.model), trainer.sampler, trainer.init),
        examples,
        folder,
        device=trainer.rng.device,
        full=full,
        count=count,
        chains=min(chains, batch),
        updates=updates,
        batch=batch,
    )
