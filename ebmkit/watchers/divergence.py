"""The watcher that stops a run that has diverged."""

import math

from ebmkit.errors import REMEDIES, Diverged, check
from ebmkit.watchers.scalars import Updates, scalars_of


def stop_if_diverged(updates: Updates, *, every: int = 1, limit: float = 1e8) -> Updates:
    """Stop the run when a value is not finite, or a mean energy is too large.

    Args:
        every: Check every N-th update; 0 never checks.
        limit: The largest absolute value that a mean energy may have.

    Raises:
        UsageError: if a setting is out of range.
        Diverged: with the update, the value, and what to try.
    """
    check("every", every, at_least=0)
    check("limit", limit, above=0)

    def watched() -> Updates:
        for update in updates:
            if every and update.index % every == 0:
                for name, value in scalars_of(update).items():
                    if not math.isfinite(value) or ("energy" in name and abs(value) > limit):
                        raise Diverged(f"diverged at update {update.index}: {name} is {value:.3g}; {REMEDIES}")
            yield update

    return watched()
