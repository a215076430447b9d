"""A fence around third parties' watchers: one that raises is switched off, and the run goes on."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain

from ebmkit.training import Step

Steps = Iterator[Step]


def guarded(watcher: Callable[[Steps], Steps], steps: Steps, warn: Callable[[str], None]) -> Steps:
    """Run a watcher that may break: if it raises, it is switched off with one warning, and no step is lost.

    What the loop itself raises passes through.
    """
    pending: list[Step] = []
    upstream: list[BaseException] = []

    def feed() -> Steps:
        try:
            for step in steps:
                pending.append(step)
                yield step
        except BaseException as error:
            upstream.append(error)
            raise

    watching = watcher(feed())

    def watched() -> Steps:
        with closing(watching):  # type: ignore[type-var]
            try:
                for step in watching:
                    pending.clear()
                    yield step
                return
            except Exception as error:
                if upstream:
                    raise
                warn(f"switched off: {type(error).__name__}: {error}")
        yield from chain(pending, steps)

    return watched()
