"""The scalars of an update, as watchers write, plot and compare them."""

from collections.abc import Iterator

from ebmkit.methods.maximum_likelihood import Update

Updates = Iterator[Update]


def scalars_of(update: Update) -> dict[str, float]:
    """The scalars of an update by name, in a dict of the caller's own.

    They are read from the device once for all watchers; see `Update.scalars` for their names.
    """
    return dict(update.scalars)
