"""Whether the state of a run can be saved and restored, checked in memory before the first update."""

from collections.abc import Mapping
from typing import Any

from torch import Generator, Tensor

from ebmkit.acceleration.tracing import identical
from ebmkit.config.recipe import Recipe
from ebmkit.errors import UsageError, naming_failure
from ebmkit.methods.method import Method
from ebmkit.runs.plain_values import read_back


def check_read_back(recipe: Recipe, trained: Method, fresh: Method) -> None:
    """Save the state of one method and restore it in another, as `ebmkit train --resume` does.

    Args:
        recipe: The settings of the run; it names the parts.
        trained: The method to save.
        fresh: A method of new parts.

    Raises:
        UsageError: naming the part whose state cannot be saved, cannot be restored, or is not the same afterwards.
    """
    of = f"of method '{recipe.parts['method'].name}'"
    parts = {name: one for name, one in trained.stateful.items() if not isinstance(one, Generator)}
    for name, one in parts.items():
        part = f"{name} '{recipe.parts[name].name}'" if name in recipe.parts else f"'{name}' {of}"
        _check_part(part, one, fresh.stateful[name])
        if name in trained.averages:
            _check_part(part, trained.averages[name], fresh.averages[name])
    with naming_failure(f"the state {of} cannot be restored"):
        fresh.load_state_dict(read_back(trained.state_dict(), f"the state {of}"))
        found = fresh.state_dict()
    if other := difference(trained.state_dict(), found):
        raise UsageError(f"the state {of} is not restored: {other} differs after load_state_dict")


def _check_part(name: str, one: Any, restored: Any) -> None:
    """`check_read_back` for one part, and another that was built in the same way."""
    saved = one.state_dict()
    if not isinstance(saved, Mapping):
        raise UsageError(f"{name} has a state_dict that is a {type(saved).__name__}; return a dict")
    with naming_failure(f"the state of {name} cannot be restored"):
        restored.load_state_dict(read_back(saved, f"the state of {name}"))
        found = restored.state_dict()
    if other := difference(saved, found):
        raise UsageError(f"the state of {name} is not restored: {other} differs after load_state_dict")


def difference(one: Any, other: Any, place: str = "it") -> str:
    """Where two states differ in value, like `it['scale']`; empty if they do not. NaN equals NaN."""
    if isinstance(one, Tensor):
        return "" if isinstance(other, Tensor) and identical(one.detach(), other.detach()) else place
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"{place}[{next(iter(one.keys() ^ other.keys()))!r}]"
        return next(filter(None, (difference(one[key], other[key], f"{place}[{key!r}]") for key in one)), "")
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return place
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (difference(a, b, f"{place}[{index}]") for index, (a, b) in pairs)), "")
    return "" if bool(one == other) or (one != one and other != other) else place
