"""Isolation of third parties' watchers: one that raises is switched off, and the run continues without it."""

from collections.abc import Callable, Iterator
from itertools import chain

from ebmkit.errors import one_line
from ebmkit.methods.maximum_likelihood import Update

Updates = Iterator[Update]


def isolated(watcher: Callable[[Updates], Updates], updates: Updates, warn: Callable[[str], None]) -> Updates:
    """The updates, as seen by a watcher that is switched off with one warning if it raises; see `caught`.

    Args:
        watcher: The watcher, which may raise.
        updates: What it watches.
        warn: Called with the reason if the watcher is switched off.
    """
    return caught(watcher, updates, lambda error: warn(f"switched off: {type(error).__name__}: {one_line(error)}"))


def caught(
    watcher: Callable[[Updates], Updates], updates: Updates, switched_off: Callable[[BaseException], None]
) -> Updates:
    """The updates, as seen by a watcher that is switched off if it raises.

    Whatever the watcher yields, every update is yielded unchanged, once and in order. Exceptions of the training loop
    itself are passed on.

    Args:
        watcher: The watcher, which may raise.
        updates: What it watches.
        switched_off: Called with the exception if the watcher is switched off.
    """
    pending: list[Update] = []
    upstream: list[BaseException] = []

    def feed() -> Updates:
        try:
            for update in updates:
                pending.append(update)
                yield update
        except GeneratorExit:
            raise
        except BaseException as error:
            upstream.append(error)
            raise

    def released() -> Updates:
        while pending:
            yield pending.pop(0)

    def watched() -> Updates:
        try:
            for _ in watching:
                yield from released()
        except GeneratorExit:
            try:
                getattr(watching, "close", lambda: None)()
            except (Exception, SystemExit) as error:
                switched_off(error)
            raise
        except (Exception, SystemExit) as error:
            if not upstream:
                switched_off(error)
        if upstream:
            raise upstream[0]
        yield from chain(released(), updates)

    watching = watcher(feed())
    return watched()
