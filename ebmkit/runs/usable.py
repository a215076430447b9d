"""What a model is read from in the state of a trainer, and whether what a file holds can be used for it."""

from collections.abc import Mapping, Sequence
from typing import Any

# The types of what every model is read with.
TRAINER = {"index": int, "average": dict}
MODEL = ("energy", "init")  # what a model is read from, where the state of the trainer does not say: maximum likelihood


def model_in(trainer: Mapping[str, Any]) -> Sequence[str]:
    """The names of what a model is read from, in the state of a trainer."""
    names: Sequence[str] = trainer.get("model", MODEL)
    return names


def averages_in(trainer: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The states of the moving averages by the names of their networks, in the state of a trainer."""
    kept: Mapping[str, Any] = trainer["average"]
    return {"energy": kept} if "n_averaged" in kept else kept  # maximum likelihood has only that of the energy


def unusable(trainer: Mapping[str, Any]) -> list[str]:
    """The names of what a model is read from, in the state of a trainer, that are missing or not of their types."""
    names = model_in(trainer)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return ["model"]
    kinds = {**TRAINER, **dict.fromkeys(names, dict)}
    wrong = [name for name, kind in kinds.items() if not isinstance(trainer.get(name), kind)]
    if not wrong and not all(map(is_state, averages_in(trainer).values())):
        wrong.append("average")
    return wrong


def is_state(state: object) -> bool:
    """Whether this is a dict of names, as the state of a network is."""
    return isinstance(state, dict) and all(isinstance(name, str) for name in state)


def is_shape(sizes: object) -> bool:
    """Whether this is a list of sizes, as the shape of an example is."""
    return isinstance(sizes, list) and all(type(size) is int and size > 0 for size in sizes)


def is_rollback(event: object) -> bool:
    """Whether this is an event as `ebmkit.runs.rollback` records it."""
    if not isinstance(event, dict):
        return False
    numbers = all(isinstance(event.get(name), int | float) for name in ("update", "to_update", "lr"))
    rates = event.get("rates", {})  # of several optimisers
    numbers &= isinstance(rates, dict) and all(isinstance(rate, int | float) for rate in rates.values())
    penalty = event.get("gradient_penalty", "")  # None for a method without one
    return numbers and (penalty is None or isinstance(penalty, int | float))
