"""What a run would cost, from one update."""

import time
from typing import Any

import torch
from torch import Tensor, nn

from ebmkit.data.examples import batches
from ebmkit.interfaces import EnergyFn
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.passes import CountedEnergy
from ebmkit.runs.device import occupy
from ebmkit.runs.run import Run


def passes_outside(trainer: Trainer) -> int:
    """Passes of an update besides those of its chains: on the batch, on the samples, and for the gradient penalty."""
    return 3 if trainer.gradient_penalty else 2


def estimate(run: Run) -> dict[str, Any]:
    """Make one update of a run that has not begun, and extrapolate from it; nothing is written.

    Returns:
        `parameters`, `network_passes_per_update`, `network_passes_in_the_chain`, `seconds_per_update`, `updates` (how
        many are left), `estimated_total_seconds`. The first update is the slowest; its chains have full length here.
    """
    occupy(run.threads)
    trainer, passes = run.trainer, 0
    inner = trainer.accelerate

    def count() -> None:
        nonlocal passes
        passes += 1

    def counted(energy: nn.Module) -> EnergyFn:
        return CountedEnergy(inner(energy) if inner is not None else energy, count)

    train, grown = run.recipe.train, trainer.steps
    left = train.iterations - trainer.index
    part = (run.processes.rank, run.processes.size)
    trainer.accelerate, trainer.steps = counted, None
    with trainer.sharing.whole():
        batch: Tensor = next(batches(run.examples, train.batch_size, run.batch_rng, device=run.device, part=part))
        began = time.perf_counter()
        run.update(batch)
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    trainer.accelerate, trainer.steps = inner, grown
    work = float(left)
    if grown is not None:  # while chains grow, an update takes less
        growth = range(trainer.index + 1, min(train.iterations, train.full_steps_from) + 1)
        work -= sum(1 - grown(index) / grown(train.full_steps_from) for index in growth)
    return {
        "parameters": sum(parameter.numel() for parameter in trainer.energy.parameters()),
        "network_passes_per_update": passes + passes_outside(trainer),
        "network_passes_in_the_chain": passes,
        "seconds_per_update": round(seconds, 3),
        "updates": left,
        "estimated_total_seconds": round(seconds * work),
    }
