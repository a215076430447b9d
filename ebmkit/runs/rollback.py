"""What a run does when it diverges: it goes back to an earlier checkpoint, or ends and says how to go on."""

import shlex
import warnings
from pathlib import Path
from typing import cast

from torch.optim import Optimizer

from ebmkit.config.recipe import Recipe
from ebmkit.errors import Diverged, Notice, UsageError, one_line
from ebmkit.files import Unwritten
from ebmkit.methods.method import Method
from ebmkit.runs.build import seeds_of
from ebmkit.runs.checkpoint import BEFORE, NAME, Checkpoint
from ebmkit.runs.diverging import lower_rate, set_rate, stronger_penalty
from ebmkit.runs.events import add_event, rewrite_metrics, rolled_back
from ebmkit.runs.newest import write_twice
from ebmkit.runs.state import RunState


def roll_back(run: RunState, error: Diverged) -> bool:
    """Go back to the checkpoint from before a divergence.

    The chains get a new seed; the learning rate is lowered and the gradient penalty raised.

    Returns:
        Whether the run can go on; it cannot if its settings say so, if it was rolled back too often, or if the
        checkpoint from before the divergence is damaged.
    """
    train, trainer, events = run.recipe.train, run.trainer, run.events
    if train.on_divergence != "rollback" or len(events) >= train.rollbacks:
        return False
    diverged = trainer.index
    # The rate is that of now: a file from before several divergences has the rate from before all of them.
    rates = {name: lowered(optimizer, train.rollback_factor) for name, optimizer in trainer.optimizers.items()}
    penalty = None if trainer.gradient_penalty is None else stronger_penalty(trainer.gradient_penalty)
    saved = before_turn(run, diverged)
    if saved is None:
        return False
    run.restore(saved)
    trainer.gradient_penalty = penalty
    for name, optimizer in trainer.optimizers.items():
        set_rate(optimizer, rates[name])
    trainer.rng.manual_seed(seeds_of(run.recipe, 1 + len(events), run.processes.rank).chains)
    event = {"event": "rollback", "update": diverged, "to_update": saved.updates, "reason": str(error)}
    each = {name: groups[0] for name, groups in rates.items()}
    several = {"rates": each} if len(each) > 1 else {}
    run.events = [*events, {**event, "lr": next(iter(each.values())), **several, "gradient_penalty": penalty}]
    # In this order: killed in between, the run is resumed from the new state, and the metrics follow it.
    run.save(lambda now: write_twice(now, run.earlier.folder))
    with run.processes.together():
        if run.processes.first:
            rewrite_metrics(run.earlier.folder, saved.updates, run.events)
            warnings.warn(f"{one_line(error)}; {rolled_back(run.events[-1])}", Notice, stacklevel=2)
    return True


def before_turn(run: RunState, index: int) -> Checkpoint | None:
    """The checkpoint from before the divergence at update `index`; None, with a warning, if it is damaged."""
    try:
        return run.earlier.before(index)
    except UsageError as error:
        if run.processes.first:
            warnings.warn(f"there is no way back to before the turn: {one_line(error)}", Notice, stacklevel=2)
        return None


def ended(run: RunState, error: Diverged) -> str:
    """Add the divergence that ends a run to its metrics, and return how to go on."""
    index, place = run.trainer.index, cast(Path, run.folder)
    before = before_turn(run, index)
    try:
        if run.processes.first:
            add_event(run.earlier.folder, {"event": "diverged", "update": index, "reason": str(error)})
    except Unwritten as unwritten:  # the advice matters more
        warnings.warn(one_line(unwritten), Notice, stacklevel=2)
    written = (run.earlier.folder / NAME).exists()
    last = f"the last checkpoint is {place / NAME}" if written else "no checkpoint had been written"
    if before is None:
        return last
    command = way_on(place, run.recipe, run.trainer)
    return f"{last}; to go on from update {before.updates}, before the turn: {command}"


def lowered(optimizer: Optimizer, factor: float) -> list[float]:
    """The learning rates of the groups of an optimiser, without their schedule, times a factor."""
    return [factor * group["initial_lr"] for group in optimizer.param_groups]


def way_on(folder: Path, recipe: Recipe, trainer: Method) -> str:
    """The command that goes on from before the turn, with a stronger gradient penalty and lower rates than now."""
    settings = ""
    if trainer.gradient_penalty is not None:
        settings += f" -s train.gradient_penalty={stronger_penalty(trainer.gradient_penalty):g}"
    for section, optimizer in trainer.optimizers.items():
        if isinstance(recipe.sections.get(section, {}).get("lr"), float):
            settings += f" -s {section}.lr={lower_rate(optimizer.param_groups[0]['initial_lr']):g}"
    return f"ebmkit train --from {shlex.quote(str(folder / BEFORE))}{settings}"
