"""The watchers of a run: generators around its updates, each around the one before."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

from ebmkit.config.recipe import Recipe
from ebmkit.errors import Notice
from ebmkit.methods.update import Update
from ebmkit.registry.component import BUILT_IN
from ebmkit.runs.isolation import isolated

Updates = Iterator[Update]


def watched(updates: Updates, recipe: Recipe, facts: Mapping[str, Any]) -> Updates:
    """The updates, as seen by every watcher; closing them closes the watchers, which saves a checkpoint.

    Args:
        updates: The updates of a run.
        recipe: Has the watchers as its sections `watch.NAME`, in their order.
        facts: The facts that a watcher may ask for besides the updates; `memory` has what each keeps, by its section.

    Raises:
        UsageError: at the call, for a watcher whose settings are out of range.
    """
    with ExitStack() as stack:
        updates = stack.enter_context(closing(updates))  # type: ignore[type-var]
        for section in recipe.sections:
            if section.startswith("watch."):
                updates = stack.enter_context(closing(watched_by(section, updates, recipe, facts)))  # type: ignore[type-var]
        pipe = stack.pop_all()

    def closed_at_the_end() -> Updates:
        with pipe:
            yield from updates

    return closed_at_the_end()


def watched_by(section: str, updates: Updates, recipe: Recipe, facts: Mapping[str, Any]) -> Updates:
    """The updates, as seen by one watcher; an exception in one of a third party does not stop the run."""
    component = recipe.parts[section]
    facts = {**facts, "memory": facts["memory"].setdefault(section, {})}

    def watcher(updates: Updates) -> Updates:
        built: Updates = recipe.build(section, updates=updates, **facts)
        return built

    if component.plugin is BUILT_IN:
        return watcher(updates)

    def warn(reason: str) -> None:
        warnings.warn(f"watcher '{component.name}' of {component.plugin}: {reason}", Notice, stacklevel=2)

    return isolated(watcher, updates, warn)
