"""Signatures of components read as facts and settings, and bound to values."""

from dataclasses import KW_ONLY, dataclass
from functools import partial, wraps
from typing import Any, Literal

import pytest
from torch import Tensor
from torch.optim import Adam

from ebmkit.config.settings import REQUIRED, Setting, argument_helps, bind, signature

Mode = Literal["same", "valid"]


@dataclass(frozen=True)
class Part:
    """A part.

    It has several paragraphs, and names like size: these are no settings.

    Args:
        shape: Shape of an example.
        size: How large it is,
            in pixels: at least 1.

        mode (str): How it
            is done.
        free: What it is free of.

    Raises:
        UsageError: never.
    """

    shape: tuple[int, ...]
    _: KW_ONLY
    size: int
    mode: Mode = "same"
    free: float | None = None
    silent: bool = False


def test_positional_parameters_are_facts_the_rest_settings():
    found = signature(Part)
    assert found.facts == ("shape",)
    assert list(found.settings) == ["size", "mode", "free", "silent"]
    assert found.settings["size"].default is REQUIRED
    assert found.settings["mode"] == Setting("mode", Mode, "same", "How it is done.")


def test_help_is_the_entry_of_the_argument_on_one_line():
    helps = {name: setting.help for name, setting in signature(Part).settings.items()}
    assert helps == {
        "size": "How large it is, in pixels: at least 1.",
        "mode": "How it is done.",
        "free": "What it is free of.",
        "silent": "",
    }


def test_a_function_is_read_like_a_class():
    def part(data: object, *, count: int = 3) -> None:
        """A data set.

        Args:
            count: How many.
        """

    found = signature(part)
    assert found.facts == ("data",)
    assert found.settings == {"count": Setting("count", int, 3, "How many.")}


def test_a_partial_is_a_variant_with_other_defaults():
    found = signature(partial(partial(Part, size=8), mode="valid"))
    assert found.facts == ("shape",)
    assert {name: setting.default for name, setting in found.settings.items()} == {
        "size": 8,
        "mode": "valid",
        "free": None,
        "silent": False,
    }
    assert found.settings["size"].help == "How large it is, in pixels: at least 1."
    assert found.settings["free"].annotation == float | None


FUTURE = """
from __future__ import annotations
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nowhere import Unknown

@dataclass(kw_only=True)
class Late:
    steps: int = 1
    kind: Literal["a", "b"] | None = None

class Network:
    def __init__(self, shape: Unknown, *, width: int = 3, other: Unknown | None = None) -> None: ...
"""


def test_annotations_that_are_strings_are_resolved(install):
    install("late-part", FUTURE)
    import late_part

    settings = signature(late_part.Late).settings
    assert settings["steps"].annotation is int
    assert settings["kind"].annotation == Literal["a", "b"] | None


def test_an_unresolvable_annotation_affects_its_parameter_only(install):
    install("later-part", FUTURE)
    import later_part

    settings = signature(later_part.Network).settings
    assert settings["width"].annotation is int
    assert settings["other"].annotation is Any


def test_a_decorated_function_keeps_its_annotations(install):
    install("inner-part", FUTURE + "\nOnly = Literal['x']\n\ndef part(*, kind: Only = 'x'): ...\n")
    import inner_part

    @wraps(inner_part.part)
    def outer(**settings):
        return inner_part.part(**settings)

    assert signature(outer).settings["kind"].annotation == Literal["x"]


@pytest.mark.parametrize("wrong", [lambda *shape: None, lambda **settings: None, partial(lambda a, **b: None, 1)])
def test_parameters_without_names_are_refused(wrong):
    with pytest.raises(TypeError, match="every setting needs a name of its own"):
        signature(wrong)


def test_with_named_facts_all_other_parameters_are_settings():
    def optimizer(params: list[Tensor], lr: float = 0.1, *, fused: bool = False) -> None: ...

    found = signature(optimizer, facts=("params",))
    assert found.facts == ("params",)
    assert list(found.settings) == ["lr", "fused"]


def test_bind_passes_the_asked_facts_and_the_settings():
    facts = {"shape": (1, 8, 8), "data": object()}
    part = bind(Part, facts, {"size": 3})
    assert part == Part((1, 8, 8), size=3)
    assert bind(lambda *, size=1: size, facts, {}) == 1
    assert bind(lambda shape, data=None: data, facts, {}) is facts["data"]
    assert bind(lambda shape, optional=7: optional, facts, {}) == 7
    assert bind(lambda params, lr: (params, lr), {"params": 1}, {"lr": 2}) == (1, 2)
    assert bind(partial(Part, size=5), facts, {}) == Part((1, 8, 8), size=5)


def test_bind_names_an_unknown_fact():
    def part(trainer: object) -> None: ...

    with pytest.raises(
        ValueError, match=r"part asks for 'trainer', which is not a fact that is given here \(shape, data\)"
    ):
        bind(part, {"shape": 1, "data": 2}, {})


def test_a_help_may_begin_on_the_line_below_its_name():
    helps = argument_helps(Adam)
    assert helps["betas"].startswith("coefficients used for computing")
    assert "betas" not in helps["lr"]
