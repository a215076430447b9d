"""What can go wrong for a user, as types: each carries one line that says what to do."""

import difflib
import math
import operator
from collections.abc import Callable, Iterable


class UsageError(ValueError):
    """What the user asked for cannot be done; the message is one line and says what to write instead."""


class Diverged(RuntimeError):
    """Training left the finite numbers; the message says what to try."""


class Notice(UserWarning):
    """Something goes on otherwise than it was asked for, with the same results; the message is one line."""


class Interrupted(Exception):
    """Somebody asked a run to stop; what it had is saved."""


def check(
    name: str,
    value: float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Refuse a number outside its range; NaN and infinities are outside every range.

    Raises:
        UsageError: naming the setting, what was expected and what was given.
    """
    bounds: list[tuple[str, float | None, Callable[[float, float], bool]]] = [
        ("above", above, operator.gt),
        ("at least", at_least, operator.ge),
        ("below", below, operator.lt),
        ("at most", at_most, operator.le),
    ]
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        finite = False
    given = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
    if finite and all(holds(value, bound) for _, bound, holds in given):
        return
    expected = " and ".join(f"{word} {bound:g}" for word, bound, _ in given) or "finite"
    raise UsageError(f"{name} must be {expected}, not {value}")


def nearest(word: str, words: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the likeliest of `words`, or nothing where none is near."""
    match = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean '{match[0]}'?" if match else ""
