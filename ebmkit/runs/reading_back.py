"""Whether the state of a run can be saved and restored, checked in memory before the first update."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ebmkit.acceleration.tracing import identical
from ebmkit.config.recipe import Recipe
from ebmkit.errors import UsageError, naming_failure
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.runs.plain_values import read_back


def check_read_back(recipe: Recipe, trained: Trainer, fresh: Trainer) -> None:
    """Save the state of one trainer and restore it in another, as `ebmkit train --resume` does.

    Args:
        recipe: The settings of the run; it names the parts.
        trained: The trainer to save.
        fresh: A trainer of new parts.

    Raises:
        UsageError: naming the part whose state cannot be saved, cannot be restored, or is not the same afterwards.
    """
    state = trained.state_dict()
    names = {part: f"{part} '{recipe.parts[part].name}'" for part in ("energy", "optimizer", "init")}
    names["average"] = names["energy"]
    parts: dict[str, Any] = {part: getattr(fresh, part) for part in ("energy", "optimizer", "init")}
    if fresh.averaged is not None:
        parts["average"] = fresh.averaged
    for part, restored in parts.items():
        saved = state[part]
        if not isinstance(saved, Mapping):
            raise UsageError(f"{names[part]} has a state_dict that is a {type(saved).__name__}; return a dict")
        with naming_failure(f"the state of {names[part]} cannot be restored"):
            restored.load_state_dict(read_back(saved, f"the state of {names[part]}"))
            found = restored.state_dict()
        if other := difference(saved, found):
            raise UsageError(f"the state of {names[part]} is not restored: {other} differs after load_state_dict")


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
