"""What a run does when it diverges: it goes back to an earlier checkpoint, or ends and says how to go on."""

import shlex
import warnings
from pathlib import Path
from typing import cast

from ebmkit.config.recipe import Recipe
from ebmkit.errors import Diverged, Notice, one_line
from ebmkit.files import Unwritten
from ebmkit.runs.build import seeds_of
from ebmkit.runs.checkpoint import BEFORE, NAME
from ebmkit.runs.diverging import lower_rate, set_rate, stronger_penalty
from ebmkit.runs.events import add_event, rewrite_metrics, rolled_back
from ebmkit.runs.state import RunState


def roll_back(run: RunState, error: Diverged) -> bool:
    """Go back to the checkpoint from before a divergence.

    The chains get a new seed; the learning rate is lowered and the gradient penalty raised.

    Returns:
        Whether the run can go on; it cannot if its settings say so, or it was rolled back too often.
    """
    train, trainer, events = run.recipe.train, run.trainer, run.events
    if train.on_divergence != "rollback" or len(events) >= train.rollbacks:
        return False
    diverged = trainer.index
    # The rate is that of now: a file from before several divergences has the rate from before all of them.
    rates = [train.rollback_factor * group["initial_lr"] for group in trainer.optimizer.param_groups]
    penalty = stronger_penalty(trainer.gradient_penalty)
    saved = run.earlier.before(diverged)
    run.restore(saved)
    trainer.gradient_penalty = penalty
    set_rate(trainer.optimizer, rates)
    trainer.rng.manual_seed(seeds_of(run.recipe, 1 + len(events), run.processes.rank).chains)
    event = {"event": "rollback", "update": diverged, "to_update": saved.updates, "reason": str(error)}
    run.events = [*events, {**event, "lr": rates[0], "gradient_penalty": penalty}]
    run.save(run.earlier.folder / NAME)
    with run.processes.together():
        if run.processes.first:
            rewrite_metrics(run.earlier.folder, saved.updates, run.events)
            warnings.warn(f"{one_line(error)}; {rolled_back(run.events[-1])}", Notice, stacklevel=2)
    return True


def ended(run: RunState, error: Diverged) -> str:
    """Add the divergence that ends a run to its metrics, and return how to go on."""
    index, place = run.trainer.index, cast(Path, run.folder)
    before = run.earlier.before(index)
    try:
        if run.processes.first:
            add_event(run.earlier.folder, {"event": "diverged", "update": index, "reason": str(error)})
    except Unwritten as unwritten:  # the advice matters more
        warnings.warn(one_line(unwritten), Notice, stacklevel=2)
    written = (run.earlier.folder / NAME).exists()
    last = f"the last good checkpoint is {place / NAME}" if written else "no checkpoint had been written"
    command = way_on(place, run.recipe, run.trainer.optimizer.param_groups[0]["initial_lr"])
    return f"{last}; to go on from update {before.updates}, before the turn: {command}"


def way_on(folder: Path, recipe: Recipe, rate: float) -> str:
    """The command that goes on from before the turn, with a stronger gradient penalty and a rate lower than `rate`."""
    settings = f" -s train.gradient_penalty={stronger_penalty(recipe.train.gradient_penalty):g}"
    if isinstance(recipe.sections["optimizer"].get("lr"), float):
        settings += f" -s optimizer.lr={lower_rate(rate):g}"
    return f"ebmkit train --from {shlex.quote(str(folder / BEFORE))}{settings}"
