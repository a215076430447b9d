"""A fence around third parties' watchers: one that raises is switched off, and the run goes on."""

from collections.abc import Callable, Iterator
from itertools import chain

from ebmkit.training import Step

Steps = Iterator[Step]


def guarded(watcher: Callable[[Steps], Steps], steps: Steps, warn: Callable[[str], None]) -> Steps:
    """Run a watcher that may break: if it raises, it is switched off with one warning.

    Whatever the watcher yields, the steps come out unchanged, each once and in order. What the loop itself raises
    passes through.
    """
    pending: list[Step] = []
    upstream: list[BaseException] = []

    def feed() -> Steps:
        try:
            for step in steps:
                pending.append(step)
                yield step
        except GeneratorExit:
            raise
        except BaseException as error:
            upstream.append(error)
            raise

    def released() -> Steps:
        while pending:
            yield pending.pop(0)

    def switched_off(error: BaseException) -> None:
        warn(f"switched off: {type(error).__name__}: {' '.join(str(error).split())}")

    def watched() -> Steps:
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
        yield from chain(released(), steps)

    watching = watcher(feed())
    return watched()
