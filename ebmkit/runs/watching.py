"""The watchers of a run: generators around its updates, each around the one before."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

from ebmkit.config.recipe import Recipe, asks_for
from ebmkit.errors import Notice, UsageError
from ebmkit.methods.update import Update
from ebmkit.processes import Processes
from ebmkit.registry.component import BUILT_IN
from ebmkit.runs.isolation import caught, isolated

Updates = Iterator[Update]


# The watchers that all processes of a run have: they decide, or save. The others watch in process 0.
EVERYWHERE = ("checkpoints", "divergence")
SHARED_FACTS = ("save", "keep")  # a watcher of process 0 cannot have these, which all processes must call


def watched(
    updates: Updates,
    recipe: Recipe,
    facts: Mapping[str, Any],
    processes: Processes,
) -> Updates:
    """The updates, as seen by every watcher; closing them closes the watchers, which saves a checkpoint.

    Args:
        updates: The updates of a run.
        recipe: Has the watchers as its sections `watch.NAME`, in their order.
        facts: The facts that a watcher may ask for besides the updates; `memory` has what each keeps, by its section,
            and `hold` is called with the exception of a watcher that only process 0 has, for all processes to raise.
        processes: The processes of the run.

    Raises:
        UsageError: at the call, for a watcher whose settings are out of range, or that several processes cannot have.
    """
    with ExitStack() as stack:
        updates = stack.enter_context(closing(updates))  # type: ignore[type-var]
        for section in recipe.sections:
            if section.startswith("watch."):
                updates = stack.enter_context(closing(watched_by(section, updates, recipe, facts, processes)))  # type: ignore[type-var]
        pipe = stack.pop_all()

    def closed_at_the_end() -> Updates:
        with pipe:
            yield from updates

    return closed_at_the_end()


def watched_by(
    section: str,
    updates: Updates,
    recipe: Recipe,
    facts: Mapping[str, Any],
    processes: Processes,
) -> Updates:
    """The updates, as seen by one watcher; an exception in one of a third party does not stop the run."""
    component = recipe.parts[section]
    everywhere = component.plugin is BUILT_IN and component.name in EVERYWHERE
    if processes.size > 1 and not everywhere:
        for fact in SHARED_FACTS:
            if asks_for(component, fact):
                raise UsageError(
                    f"watcher '{component.name}' of {component.plugin} asks for `{fact}`, which no watcher of a third "
                    f"party can have in a run of several processes: leave out --watch {component.name}"
                )
        if not processes.first:
            return updates
    facts = {**facts, "memory": facts["memory"].setdefault(section, {})}

    def watcher(updates: Updates) -> Updates:
        built: Updates = recipe.build(section, updates=updates, **facts)
        return built

    if component.plugin is BUILT_IN:
        return watcher(updates) if processes.size == 1 or everywhere else caught(watcher, updates, facts["hold"])

    def warn(reason: str) -> None:
        warnings.warn(f"watcher '{component.name}' of {component.plugin}: {reason}", Notice, stacklevel=2)

    return isolated(watcher, updates, warn)
