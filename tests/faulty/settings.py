"""Parts whose settings have planted faults: `FAULTS` maps what is wrong to the part and the checks that must fail."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from ebmkit.interfaces import Sampler

NAN = "float_settings_refuse_nan"
TYPES = "settings_have_types_that_a_command_line_can_give"
HELP = "settings_have_a_line_of_help"
NAMES = "settings_have_names"
BEHIND = "settings_are_keyword_only"


def any_arguments(*count: int) -> None:
    """Nothing."""


def any_settings(**settings: float) -> None:
    """Nothing."""


def uses(*, use: str = "a") -> None:
    """Nothing.

    Args:
        use: A reserved name.
    """


def by_position(count: int = 3) -> None:
    """Nothing."""


def unknown_fact(shape: tuple[int, ...], *, count: int = 3) -> None:
    """Nothing.

    Args:
        count: A number.
    """


def untyped(*, count=3) -> None:
    """Nothing.

    Args:
        count: A number.
    """


def listed(*, sizes: list[int] | None, parts: list[int]) -> None:
    """Nothing.

    Args:
        sizes: A list, or none.
        parts: A list.
    """


def only_for_python(*, parts: tuple[Tensor, ...] = (), one: Tensor | Sampler) -> None:
    """Nothing.

    Args:
        parts: Tensors.
        one: A tensor, or a sampler.
    """


def helpless(*, count: int = 3, size: int = 3) -> None:
    """Nothing.

    Args:
        count: A number.
    """


def accepting(*, scale: float = 1.0) -> None:
    """Nothing.

    Args:
        scale: A scale, not checked.
    """


def accepting_pairs(*, ends: tuple[float, float] | None = None) -> None:
    """Nothing.

    Args:
        ends: Two ends, not checked.
    """


@dataclass(frozen=True, kw_only=True)
class Raising:
    """Refuses NaN, but not properly: `error` says how.

    Args:
        scale: A scale.
        error: What is wrong with the error.
    """

    scale: float = 1.0
    error: Literal["nameless", "two lines", "another name", "type"] = "nameless"

    def __post_init__(self) -> None:
        if math.isnan(self.scale):
            lines = {
                "nameless": "must be a number",
                "two lines": "scale must\nbe a number",
                "another name": "scales are",
            }
            # Not a UsageError, whose message is always one line.
            raise TypeError("scale") if self.error == "type" else ValueError(lines[self.error])


FAULTS: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    "*args": (any_arguments, {}, {NAMES}),
    "**kwargs": (any_settings, {}, {NAMES}),
    "use": (uses, {}, {NAMES}),
    "by position": (by_position, {}, {BEHIND}),
    "a fact that data sets do not have": (unknown_fact, {}, {BEHIND}),
    "no type": (untyped, {}, {TYPES}),
    "a list": (listed, {}, {TYPES}),
    "only for Python": (only_for_python, {}, {TYPES}),
    "no help": (helpless, {}, {HELP}),
    "NaN accepted": (accepting, {}, {NAN}),
    "NaN accepted in a pair": (accepting_pairs, {}, {NAN}),
    "NaN refused without a name": (Raising, {}, {NAN}),
    "NaN refused in two lines": (Raising, {"error": "two lines"}, {NAN}),
    "NaN refused by another name": (Raising, {"error": "another name"}, {NAN}),
    "NaN refused by a TypeError": (Raising, {"error": "type"}, {NAN}),
}
