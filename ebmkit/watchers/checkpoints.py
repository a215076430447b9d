"""The watcher that saves a run, so that it can be resumed and its model opened."""

from collections.abc import Callable, Mapping
from typing import Any

from ebmkit.errors import Diverged, UsageError, check
from ebmkit.files import Unwritten
from ebmkit.methods.method import Method
from ebmkit.watchers.causes import in_force, remedies
from ebmkit.watchers.scalars import Updates


def write_checkpoints(
    updates: Updates,
    trainer: Method,
    save: Callable[[], None],
    keep: Callable[[], None] | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    every: int = 100,
) -> Updates:
    """Write `checkpoint.pt` at the first update, at every N-th, at the last, and when the run is stopped.

    `keep` is called after every N-th, and only then: which checkpoints are kept as those from before a divergence must
    not depend on when the run was stopped. It is called again when a run goes on after an N-th, for it may have been
    killed between the two.

    Args:
        every: Write at every N-th update; 0 writes only at the first and the last.

    Raises:
        UsageError: if `every` is negative.
        Diverged: if the weights are not finite; the last checkpoint is kept.
    """
    check("every", every, at_least=0)
    saved = trainer.index

    def keep_nth(index: int) -> None:
        if keep is not None and every and index and index % every == 0:
            keep()

    def save_if_new() -> None:
        nonlocal saved
        weights = (parameter for network in trainer.networks.values() for parameter in network.parameters())
        if not all(bool(parameter.isfinite().all()) for parameter in weights):
            others = remedies(in_force(config, trainer), trainer.optimizers)
            raise Diverged(f"diverged at update {trainer.index}: the weights are not finite; {others}")
        if saved != trainer.index:
            save()
            saved = trainer.index

    def watched() -> Updates:
        keep_nth(trainer.index)
        try:
            for update in updates:
                if update.index == 1 or (every and update.index % every == 0):
                    save_if_new()
                    keep_nth(update.index)
                yield update
        # Not in `finally`: after any other error the state may be broken, and the last checkpoint must survive.
        # The run is stopped, the data cannot be read, or another file cannot be written.
        except (GeneratorExit, UsageError, Unwritten):
            save_if_new()
            raise
        save_if_new()

    return watched()
