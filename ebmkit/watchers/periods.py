"""When a watcher is due whose output takes long."""

from collections.abc import Callable

from ebmkit.errors import check


def due_updates(every: int | None, iterations: int) -> Callable[[int], bool]:
    """Whether a watcher is due after the update of an index: after every N-th and after the last.

    Args:
        every: N; None is ten times in the run, 0 never.
        iterations: The number of updates of the run.

    Raises:
        UsageError: if `every` is negative.
    """
    check("every", every or 0, at_least=0)
    period = max(1, iterations // 10) if every is None else every
    return lambda index: period > 0 and (index % period == 0 or index == iterations)
