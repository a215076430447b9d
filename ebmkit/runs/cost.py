"""What a run would cost, from one update of each phase of its method."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebmkit.data.examples import indexed_batches
from ebmkit.runs.device import occupy
from ebmkit.runs.facts import asked, facts_of
from ebmkit.runs.run import Run


class Phase(NamedTuple):
    """What the updates of a phase cost.

    Attributes:
        updates: How many of them are left.
        chains: Passes of an update in its chains.
        passes: All passes of an update.
        seconds: Seconds of one update.
        work: The updates, those with shorter chains counted as a part of one.
    """

    updates: int
    chains: int
    passes: int
    seconds: float
    work: float


def estimate(run: Run) -> dict[str, Any]:
    """Make one update of each phase of a run that has not begun, and extrapolate; nothing is written.

    Returns:
        `parameters`, `network_passes_per_update`, `network_passes_in_the_chain`, `seconds_per_update`, `updates` (how
        many are left), `estimated_total_seconds`. The first update is the slowest; its chains have full length here.
        Of a method with several phases, passes are the most of a phase and the seconds are the mean of an update; and
        there are `phase_N_updates`, `phase_N_network_passes_per_update` and `phase_N_seconds_per_update`, from N = 1.
    """
    occupy(run.threads)
    part = (run.processes.rank, run.processes.size)
    batches = indexed_batches(run.examples, run.recipe.train.batch_size, run.batch_rng, device=run.device, part=part)
    found = [measured(run, begin, end, batches) for begin, end in spans(run)]
    left = sum(phase.updates for phase in found)
    several = {
        f"phase_{number}_{name}": value
        for number, phase in enumerate(found, 1)
        for name, value in (
            ("updates", phase.updates),
            ("network_passes_per_update", phase.passes),
            ("seconds_per_update", round(phase.seconds, 3)),
        )
    }
    return {
        "parameters": sum(one.numel() for network in run.trainer.networks.values() for one in network.parameters()),
        "network_passes_per_update": max(phase.passes for phase in found),
        "network_passes_in_the_chain": max(phase.chains for phase in found),
        "seconds_per_update": round(sum(phase.seconds * phase.updates for phase in found) / left, 3),
        "updates": left,
        "estimated_total_seconds": round(sum(phase.seconds * phase.work for phase in found)),
        **(several if len(found) > 1 else {}),
    }


def spans(run: Run) -> list[tuple[int, int]]:
    """The updates that are left of each phase, as how many were made at its begin and at its end."""
    ends = [min(one, run.recipe.train.iterations) for one in (*run.trainer.phases[1:], run.recipe.train.iterations)]
    begins = [max(one, run.trainer.index) for one in run.trainer.phases]
    return [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]


def measured(run: Run, begin: int, end: int, batches: Iterator[tuple[Tensor, Tensor]]) -> Phase:
    """Make one update of the phase from update `begin` to `end`, with chains of full length."""
    trainer, train, passes = run.trainer, run.recipe.train, 0

    def count() -> None:
        nonlocal passes
        passes += 1

    grown, trainer.index = trainer.steps, begin
    trainer.steps, run.parts.on_pass = None, count
    outside = trainer.passes_outside
    with trainer.sharing.whole():
        batch, indices = next(batches)
        facts = facts_of(asked(trainer), run.examples, indices, run.device)
        began = time.perf_counter()
        run.update(batch, **facts)
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    trainer.steps, run.parts.on_pass = grown, None
    work = float(end - begin)
    if grown is not None:  # while chains grow, an update takes less
        growth = range(begin + 1, min(end, train.full_steps_from) + 1)
        work -= sum(1 - grown(index) / grown(train.full_steps_from) for index in growth)
    return Phase(end - begin, passes, passes + outside, seconds, work)
