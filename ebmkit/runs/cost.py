"""What a run would cost, from one update."""

import time
from typing import Any

import torch

from ebmkit.data.examples import indexed_batches
from ebmkit.runs.device import occupy
from ebmkit.runs.facts import asked, facts_of
from ebmkit.runs.run import Run


def estimate(run: Run) -> dict[str, Any]:
    """Make one update of a run that has not begun, and extrapolate from it; nothing is written.

    Returns:
        `parameters`, `network_passes_per_update`, `network_passes_in_the_chain`, `seconds_per_update`, `updates` (how
        many are left), `estimated_total_seconds`. The first update is the slowest; its chains have full length here.
    """
    occupy(run.threads)
    trainer, passes = run.trainer, 0

    def count() -> None:
        nonlocal passes
        passes += 1

    train, grown = run.recipe.train, trainer.steps
    left = train.iterations - trainer.index
    part = (run.processes.rank, run.processes.size)
    trainer.steps, run.parts.on_pass = None, count
    with trainer.sharing.whole():
        batch, indices = next(
            indexed_batches(run.examples, train.batch_size, run.batch_rng, device=run.device, part=part)
        )
        facts = facts_of(asked(trainer), run.examples, indices, run.device)
        began = time.perf_counter()
        run.update(batch, **facts)
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    trainer.steps, run.parts.on_pass = grown, None
    work = float(left)
    if grown is not None:  # while chains grow, an update takes less
        growth = range(trainer.index + 1, min(train.iterations, train.full_steps_from) + 1)
        work -= sum(1 - grown(index) / grown(train.full_steps_from) for index in growth)
    return {
        "parameters": sum(one.numel() for network in trainer.networks.values() for one in network.parameters()),
        "network_passes_per_update": passes + trainer.passes_outside,
        "network_passes_in_the_chain": passes,
        "seconds_per_update": round(seconds, 3),
        "updates": left,
        "estimated_total_seconds": round(seconds * work),
    }
