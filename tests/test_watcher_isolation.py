"""The isolation of third-party watchers: one that fails is switched off, and the run continues."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from small_trainings import made_up

from ebmkit.errors import Diverged
from ebmkit.methods.update import Update
from ebmkit.runs.isolation import isolated


def isolated_updates(watcher: Any, count: int = 5) -> tuple[list[int], list[str]]:
    """The indices of the updates that an isolated `watcher` lets through, and the warnings."""
    warnings: list[str] = []
    updates = [made_up(index) for index in range(1, count + 1)]
    out = list(isolated(watcher, iter(updates), warnings.append))
    assert all(update is updates[update.index - 1] for update in out)
    return [update.index for update in out], warnings


@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=["error", "sys.exit"])
@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("late", [False, True], ids=["before its yield", "after its yield"])
def test_a_watcher_that_raises_is_switched_off(error, at, late):
    def watcher(updates):
        for update in updates:
            if update.index == at and not late:
                raise error("bad\nnews")
            yield update
            if update.index == at:
                raise error("bad\nnews")

    assert isolated_updates(watcher) == ([1, 2, 3, 4, 5], [f"switched off: {error.__name__}: bad news"])


def test_raising_before_the_first_update_switches_it_off():
    def watcher(updates):
        raise RuntimeError("no")
        yield from updates

    assert isolated_updates(watcher) == ([1, 2, 3, 4, 5], ["switched off: RuntimeError: no"])


def test_a_watcher_that_returns_none_is_switched_off():
    out, warnings = isolated_updates(lambda updates: None)
    assert out == [1, 2, 3, 4, 5]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "watcher",
    [
        lambda updates: islice(updates, 2),
        lambda updates: (update for update in updates if update.index % 2 == 0),
        lambda updates: (update for update in updates for _ in range(3)),
        lambda updates: ("something else" for _ in updates),
        lambda updates: iter(list(updates)),
        lambda updates: iter([]),
        lambda updates: [],
    ],
    ids=["stops early", "leaves out", "repeats", "alters", "hoards", "gives none", "is no iterator"],
)
def test_updates_cannot_be_dropped_repeated_or_changed(watcher):
    assert isolated_updates(watcher) == ([1, 2, 3, 4, 5], [])


def failing_loop() -> Iterator[Update]:
    yield made_up(1)
    raise Diverged("diverged at update 2")


def wrapping(updates):
    try:
        yield from updates
    except Exception as error:
        raise RuntimeError("mine") from error


def swallowing(updates):
    try:
        yield from updates
    except Exception:
        return


@pytest.mark.parametrize("watcher", [lambda updates: (update for update in updates), wrapping, swallowing])
def test_errors_of_the_loop_pass_through_any_watcher(watcher):
    updates = isolated(watcher, failing_loop(), pytest.fail)
    assert next(updates).index == 1
    with pytest.raises(Diverged, match="update 2"):
        next(updates)


def test_errors_of_the_loop_pass_after_a_switch_off():
    def watcher(updates):
        raise ValueError
        yield from updates

    warnings: list[str] = []
    updates = isolated(watcher, failing_loop(), warnings.append)
    assert next(updates).index == 1
    with pytest.raises(Diverged):
        next(updates)
    assert len(warnings) == 1


def tidy(log: list[str]) -> Any:
    def watcher(updates):
        try:
            yield from updates
        finally:
            log.append("tidied")

    return watcher


@pytest.mark.parametrize("how", ["end", "close", "error"])
def test_the_cleanup_of_a_watcher_runs(how):
    log: list[str] = []
    if how == "error":
        with pytest.raises(Diverged):
            list(isolated(tidy(log), failing_loop(), pytest.fail))
    else:
        updates = isolated(tidy(log), map(made_up, range(1, 4)), pytest.fail)
        next(updates)
        updates.close() if how == "close" else list(updates)
    assert log == ["tidied"]


def test_an_error_in_its_cleanup_does_not_break_the_run():
    def watcher(updates):
        try:
            yield from updates
        finally:
            raise OSError("disk full")

    warnings: list[str] = []
    updates = isolated(watcher, map(made_up, range(1, 4)), warnings.append)
    next(updates)
    updates.close()
    assert warnings == ["switched off: OSError: disk full"]


def test_a_watcher_that_ignores_close_is_reported():
    def watcher(updates):
        for update in updates:
            try:
                yield update
            except GeneratorExit:
                yield update

    warnings: list[str] = []
    updates = isolated(watcher, map(made_up, range(1, 4)), warnings.append)
    next(updates)
    updates.close()
    assert len(warnings) == 1


def test_ctrl_c_inside_a_watcher_ends_the_run():
    def watcher(updates):
        for _ in updates:
            raise KeyboardInterrupt
            yield

    with pytest.raises(KeyboardInterrupt):
        list(isolated(watcher, map(made_up, range(1, 4)), pytest.fail))
