"""Signatures read as settings, and texts converted to their types."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial, wraps
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ebmkit.config.toml import toml
from ebmkit.errors import UsageError
from ebmkit.config.convert import choices, convert, describe, parse
from ebmkit.config.settings import REQUIRED, Setting, bind, signature

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False)
Mode = Literal["same", "valid"]


def typed(text, annotation):
    """What `-s section.key=text` gives for a setting of this type."""
    return convert(parse(text), annotation, text)


def refused(text, annotation, match):
    with pytest.raises(UsageError, match=match) as error:
        Setting("width", annotation, 1).convert(parse(text), text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (int, st.integers()),
        (float, FLOATS),
        (bool, st.booleans()),
        (str, TEXT),
        (Mode, st.sampled_from(["same", "valid"])),
        (Literal[1, 3], st.sampled_from([1, 3])),
        (tuple[float, float], st.tuples(FLOATS, FLOATS)),
        (tuple[int, ...], st.lists(st.integers()).map(tuple)),
        (tuple[str, ...], st.lists(TEXT).map(tuple)),
        (tuple[float | None, int], st.tuples(st.none() | FLOATS, st.integers())),
        (int | None, st.none() | st.integers()),
        (float | None, st.none() | FLOATS),
        (str | None, st.none() | TEXT.filter(lambda text: text != "none")),
        (tuple[int, ...] | None, st.none() | st.lists(st.integers()).map(tuple)),
        (Literal["auto"] | int, st.just("auto") | st.integers()),
        (bool | int | str, st.booleans() | st.integers() | TEXT),
        (float | tuple[float, ...] | Tensor, FLOATS | st.lists(FLOATS).map(tuple)),
        (Any, st.booleans() | st.integers() | FLOATS | TEXT | st.lists(st.integers())),
    ],
    ids=str,
)
def test_a_value_written_as_toml_is_read_back_from_a_file_and_from_the_command_line(annotation, values):
    @given(values)
    def check(value):
        text = toml(value)
        for read in (convert(parse(text), annotation), typed(text, annotation)):
            assert read == value
            assert type(read) is type(value)

    check()


@given(TEXT.map(str.strip).filter(lambda text: text[:1] not in {'"', "'"}))
def test_a_string_setting_keeps_what_was_typed(text):
    assert typed(text, str) == text


@pytest.mark.parametrize("text", ["2024", "1e4", "true", "2024-01-01", "[1]", "inf", "a b", "none", "0x10", ""])
def test_a_string_setting_keeps_typed_text_that_toml_would_read_as_something_else(text):
    assert typed(text, str) == text


@pytest.mark.parametrize("value", [2024, 1.5, True, [1], {"a": 1}])
def test_a_string_setting_refuses_another_type_from_a_file(value):
    with pytest.raises(UsageError, match="path must be str, not "):
        Setting("path", str, "").convert(value)


def test_a_quoted_text_loses_its_quotes():
    assert typed('"a b"', str) == "a b"
    assert typed("'valid'", Mode) == "valid"


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("1e4", 10_000), ("2.0", 2), ("-7", -7), ("1_000", 1000)])
def test_an_integer_may_be_written_as_a_whole_float(text, expected):
    value = typed(text, int)
    assert value == expected
    assert type(value) is int


@pytest.mark.parametrize("text", ["1.5", "true", "false", "nan", "inf", "many", '"3"', "[3]", "none", ""])
def test_an_integer_refuses_everything_else(text):
    refused(text, int, r"^width must be int, not ")


def test_a_float_may_be_written_as_an_integer():
    value = typed("1", float)
    assert value == 1.0
    assert type(value) is float
    assert typed("1e-4", float) == 1e-4
    assert math.isnan(typed("nan", float))


@pytest.mark.parametrize("text", ["true", "fast", '"0.1"', "[0.1]", "none", "1" + "0" * 400])
def test_a_float_refuses_everything_else(text):
    refused(text, float, r"^width must be float, not ")


@pytest.mark.parametrize("text", ["1", "0", "True", "yes", '"true"'])
def test_a_truth_value_is_true_or_false_only(text):
    assert typed("true", bool) is True
    assert typed("false", bool) is False
    refused(text, bool, r"^width must be bool, not ")


def test_a_truth_value_with_a_capital_gets_a_hint():
    refused("True", bool, r"Did you mean 'true'\?$")


def test_a_choice_is_one_of_the_list_and_a_near_miss_gets_a_hint():
    assert typed("same", Mode) == "same"
    refused("vald", Mode, r"^width must be same \| valid, not 'vald'\. Did you mean 'valid'\?$")


def test_choices_of_numbers_are_numbers():
    assert typed("3", Literal[1, 3]) == 3
    assert convert(1, Literal[1, 3]) == 1
    for wrong in ("2", "1.0", "true", '"1"'):
        refused(wrong, Literal[1, 3], r"^width must be 1 \| 3, not ")
    with pytest.raises(ValueError, match="True"):
        convert(True, Literal[1, 3])


def test_a_tuple_of_fixed_length_has_that_length():
    assert typed("[0, 1]", tuple[float, float]) == (0.0, 1.0)
    assert all(type(value) is float for value in typed("[0, 1]", tuple[float, float]))
    for wrong in ("[0]", "[0, 1, 2]", "0, 1", "0", '["a", 1]', "[]"):
        refused(wrong, tuple[float, float], r"^width must be \[float, float\], not ")


def test_a_tuple_of_any_length_may_be_empty():
    assert typed("[]", tuple[int, ...]) == ()
    assert typed("[1, 2e1]", tuple[int, ...]) == (1, 20)
    refused("[1.5]", tuple[int, ...], r"^width must be \[int, \.\.\.\], not ")


def test_none_is_spelt_none():
    assert typed("none", float | None) is None
    assert typed('"none"', str | None) is None
    assert typed("none", str) == "none"
    assert typed("None", str | None) == "None"
    refused("null", float | None, r"^width must be float \| none, not 'null'\.")


def test_members_that_only_python_can_give_never_match_and_are_not_shown():
    annotation = Tensor | float | Callable[[int], int] | None
    assert typed("1", annotation) == 1.0
    assert describe(annotation) == "float | none"
    refused("fast", annotation, r"^width must be float \| none, not 'fast'\.$")
    refused("1", Tensor | Callable[[], int], r"^width must be a Python object, not '1'\.$")
    assert describe(Tensor) == ""


def test_members_of_a_union_are_tried_in_order():
    assert typed("5", int | str) == 5
    assert typed("5", str | int) == "5"
    assert typed("five", int | str) == "five"


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 5000, "1\nother = 2", "= 1", "a = 1", "1 2"])
def test_a_text_that_is_no_toml_value_is_a_bare_word(text):
    assert parse(text) == text


def test_types_are_described_in_words_that_can_be_typed():
    assert describe(int) == "int"
    assert describe(tuple[int, ...] | None) == "[int, ...] | none"
    assert describe(Literal["a", 1]) == "a | 1"
    assert describe(Any) == "any"


def test_the_values_a_type_lists_are_offered():
    assert choices(bool) == ["true", "false"]
    assert choices(Mode | None) == ["same", "valid", "none"]
    assert choices(float) == []


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


def test_positional_parameters_are_facts_and_keyword_only_ones_settings():
    found = signature(Part)
    assert found.facts == ("shape",)
    assert list(found.settings) == ["size", "mode", "free", "silent"]
    assert found.settings["size"].default is REQUIRED
    assert found.settings["mode"] == Setting("mode", Mode, "same", "How it is done.")


def test_help_is_the_argument_s_entry_on_one_line():
    helps = {name: setting.help for name, setting in signature(Part).settings.items()}
    assert helps == {
        "size": "How large it is, in pixels: at least 1.",
        "mode": "How it is done.",
        "free": "What it is free of.",
        "silent": "",
    }


def test_a_function_is_read_like_a_class():
    def part(data: object, *, count: int = 3) -> None:
        """Do it.

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


def test_annotations_kept_as_texts_are_resolved(install):
    install("late-part", FUTURE)
    import late_part

    settings = signature(late_part.Late).settings
    assert settings["steps"].annotation is int
    assert settings["kind"].annotation == Literal["a", "b"] | None


def test_an_annotation_that_does_not_resolve_makes_its_own_parameter_untyped_and_no_other(install):
    install("later-part", FUTURE)
    import later_part

    settings = signature(later_part.Network).settings
    assert settings["width"].annotation is int
    assert settings["other"].annotation is Any


def test_a_decorated_function_has_the_annotations_of_the_one_inside(install):
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


def test_named_facts_leave_every_other_parameter_a_setting():
    def optimizer(params: list[Tensor], lr: float = 0.1, *, fused: bool = False) -> None: ...

    found = signature(optimizer, facts=("params",))
    assert found.facts == ("params",)
    assert list(found.settings) == ["lr", "fused"]


def test_bind_gives_the_facts_that_are_asked_for_and_the_settings():
    facts = {"shape": (1, 8, 8), "data": object()}
    part = bind(Part, facts, {"size": 3})
    assert part == Part((1, 8, 8), size=3)
    assert bind(lambda *, size=1: size, facts, {}) == 1
    assert bind(lambda shape, data=None: data, facts, {}) is facts["data"]
    assert bind(lambda shape, optional=7: optional, facts, {}) == 7
    assert bind(lambda params, lr: (params, lr), {"params": 1}, {"lr": 2}) == (1, 2)
    assert bind(partial(Part, size=5), facts, {}) == Part((1, 8, 8), size=5)


def test_bind_names_a_fact_that_nobody_knows():
    def part(trainer: object) -> None: ...

    with pytest.raises(ValueError, match=r"part asks for 'trainer', which is not a fact that is given here \(shape, data\)"):
        bind(part, {"shape": 1, "data": 2}, {})
