"""Registers the planted faults of samplers, each with exactly the checks that must fail."""

import re
from collections.abc import Callable
from typing import Any

INVARIANT = "each_step_leaves_its_target_invariant"
CONTROL = "chains_move_towards_their_target"
BALANCE = "steps_are_in_detailed_balance"
NAN, INFINITY = "walls_of_nan_truncate_the_target", "walls_of_infinity_truncate_the_target"

# By the fault in words: the sampler, and the checks that must fail.
FAULTS: dict[str, tuple[type[Any], set[str]]] = {}


def fault(*caught: str) -> Callable[[type[Any]], type[Any]]:
    """Register a sampler with a planted fault, and exactly the checks that must fail."""

    def note(sampler: type[Any]) -> type[Any]:
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", sampler.__name__)
        FAULTS[words.lower()] = (sampler, set(caught))
        return sampler

    return note
