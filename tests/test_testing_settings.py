"""The kit's checks of settings: the built-in parts pass, and each planted fault fails by the names that tell it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from ebmkit.registry.component import KINDS
from ebmkit.errors import UsageError, check
from ebmkit.interfaces import Sampler
from ebmkit.registry.lookup import get_registry
from ebmkit.testing import kit
from ebmkit.testing import settings as home
from ebmkit.testing.kit import Subject
from ebmkit.methods.maximum_likelihood import Update

EVERYTHING = {name: one for name, one in kit.checks("data").items() if one.__module__ == home.__name__}
NAN = "float_settings_refuse_nan"
TYPES = "settings_have_types_that_a_command_line_can_give"
HELP = "settings_have_a_line_of_help"
NAMES = "settings_have_names"
BEHIND = "settings_are_keyword_only"


def good(
    *,
    count: int,
    scale: float = 1.0,
    ends: tuple[float, float] | None = None,
    mode: Literal["a", "b"] = "a",
    mean: float | tuple[float, ...] | Tensor = 0.0,
    deep: tuple[tuple[int, str], ...] = (),
) -> Tensor:
    """Zeros.

    Args:
        count: How many.
        scale: Of what.
        ends: Where it begins,
            and where it ends.
        mode: One of two.
        mean: Number or numbers.
        deep: Pairs.
    """
    check("scale", scale)
    for name, given in {"ends": ends or (), "mean": mean if isinstance(mean, tuple) else (mean,)}.items():
        for one in given:
            check(f"{name}'s number", float(one))
    return torch.zeros(count, 2)


def any_arguments(*count: int) -> None:
    """Nothing."""


def any_settings(**settings: float) -> None:
    """Nothing."""


def uses(*, use: str = "a") -> None:
    """Nothing.

    Args:
        use: A name that is taken.
    """


def by_position(count: int = 3) -> None:
    """Nothing."""


def unknown_fact(shape: tuple[int, ...], *, count: int = 3) -> None:
    """Nothing.

    Args:
        count: How many.
    """


def untyped(*, count=3) -> None:
    """Nothing.

    Args:
        count: How many.
    """


def listed(*, sizes: list[int] | None, parts: list[int]) -> None:
    """Nothing.

    Args:
        sizes: They may be none.
        parts: They may not.
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
        count: How many.
    """


def accepting(*, scale: float = 1.0) -> None:
    """Nothing.

    Args:
        scale: Taken as it is.
    """


def accepting_pairs(*, ends: tuple[float, float] | None = None) -> None:
    """Nothing.

    Args:
        ends: Taken as they are.
    """


@dataclass(frozen=True, kw_only=True)
class Raising:
    """Raises for NaN, each part in another way.

    Args:
        scale: What is refused.
        error: How.
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
            raise TypeError("scale") if self.error == "type" else UsageError(lines[self.error])


FAULTS: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    "*args": (any_arguments, {}, {NAMES}),
    "**kwargs": (any_settings, {}, {NAMES}),
    "use": (uses, {}, {NAMES}),
    "by position": (by_position, {}, {BEHIND}),
    "a fact that a data set has not": (unknown_fact, {}, {BEHIND}),
    "no type": (untyped, {}, {TYPES}),
    "a list": (listed, {}, {TYPES}),
    "for Python alone": (only_for_python, {}, {TYPES}),
    "no help": (helpless, {}, {HELP}),
    "NaN accepted": (accepting, {}, {NAN}),
    "NaN accepted in a pair": (accepting_pairs, {}, {NAN}),
    "NaN refused without a name": (Raising, {}, {NAN}),
    "NaN refused in two lines": (Raising, {"error": "two lines"}, {NAN}),
    "NaN refused by another name": (Raising, {"error": "another name"}, {NAN}),
    "NaN refused by a TypeError": (Raising, {"error": "type"}, {NAN}),
}


def failed(part: Subject) -> dict[str, str]:
    outcomes = [kit.outcome(name, one, part) for name, one in EVERYTHING.items()]
    return {one.check: one.reason for one in outcomes if one.verdict == "failed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_by_the_checks_that_name_it(fault):
    target, settings, expected = FAULTS[fault]
    found = failed(Subject("data", target, settings))
    assert set(found) == expected, found
    assert not [reason for reason in found.values() if "\n" in reason]


def test_every_check_catches_a_fault():
    assert set().union(*(expected for _, _, expected in FAULTS.values())) == set(EVERYTHING)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_these_checks(kind):
    assert EVERYTHING.items() <= kit.checks(kind).items()


def test_a_good_part_fails_nothing():
    assert failed(Subject("data", good, {"count": 3})) == {}
    assert failed(Subject("data", partial(good, count=3, scale=2.0))) == {}


@pytest.mark.parametrize("setting", ["sizes", "parts", "one"])
def test_a_setting_without_a_type_is_named(setting):
    target = listed if setting == "sizes" else only_for_python
    reason = failed(Subject("data", target)).get(TYPES, "")
    # `list[int] | None` can be given as none, and the first that cannot is the one that is named.
    assert reason.startswith("parts ")


def test_the_facts_are_those_of_the_kind():
    for kind, facts in {"energy": ("shape",), "init": ("shape",), "sampler": (), "watcher": ()}.items():
        assert (BEHIND in failed(Subject(kind, unknown_fact))) == (facts == ())


def late(steps: Iterator[Update], *, scale: float = 1.0) -> Iterator[Update]:
    """Looks at its settings when it starts.

    Args:
        scale: Of what.
    """
    check("scale", scale)
    yield from steps


def images_only(steps: Iterator[Update], examples: Any, *, scale: float = 1.0) -> Iterator[Update]:
    """Refuses points.

    Args:
        scale: Of what.
    """
    if len(examples.shape) != 3:
        raise UsageError("only for images")
    check("scale", scale)
    yield from steps


def accepting_watcher(steps: Iterator[Update], folder: Any, *, scale: float = 1.0) -> Iterator[Update]:
    """Takes NaN, and writes a file.

    Args:
        scale: Of what.
    """
    for step in steps:
        (folder / "scale").write_text(str(scale))
        yield step


def test_a_watcher_may_refuse_at_its_first_step_and_may_refuse_points(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for watcher in (late, images_only):
        assert failed(Subject("watcher", watcher)) == {}
    assert set(failed(Subject("watcher", accepting_watcher))) == {NAN}
    assert not list(tmp_path.iterdir())


BUILT_IN = [
    (kind, one) for kind in KINDS for one in get_registry().of_kind(kind) if one.plugin.package == "shortrun-ebmkit"
]


@pytest.mark.parametrize(("kind", "component"), BUILT_IN, ids=[f"{kind}-{one.name}" for kind, one in BUILT_IN])
def test_the_settings_of_the_built_in_parts_conform(kind, component):
    shape = (1, 8, 8) if component.name in ("convnet", "resnet") else (2,)
    assert failed(Subject(kind, component.load(), shape=shape)) == {}
