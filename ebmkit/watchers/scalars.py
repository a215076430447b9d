"""The scalars of an update, as watchers write, plot and compare them."""

from collections.abc import Iterator

from ebmkit.methods.update import Update

Updates = Iterator[Update]


def chains_at_once(update: Update) -> int:
    """How many chains run at once in drawing: as many as in this update, which fit in memory, or 64 if it ran none."""
    return 64 if update.fake is None else len(update.fake)


def scalars_of(update: Update) -> dict[str, float]:
    """The scalars of an update by name, in a dict of the caller's own.

    They are read from the device once for all watchers; see `Update.scalars` for their names.
    """
    return dict(update.scalars)
