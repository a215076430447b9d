"""Texts and TOML values, converted to the type that a setting states."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ebmkit.config.conversion import choices, convert, describe, parse
from ebmkit.config.settings import Setting
from ebmkit.config.tables import toml
from ebmkit.errors import UsageError

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
def test_a_value_written_as_toml_is_read_back(annotation, values):
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
def test_a_string_setting_keeps_text_that_is_toml(text):
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


def test_a_choice_is_one_of_the_list_with_a_hint():
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


def test_types_that_only_python_can_pass_never_match():
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
def test_text_that_is_not_toml_is_kept_as_it_is(text):
    assert parse(text) == text


def test_types_are_described_in_words_that_can_be_typed():
    assert describe(int) == "int"
    assert describe(tuple[int, ...] | None) == "[int, ...] | none"
    assert describe(Literal["a", 1]) == "a | 1"
    assert describe(Any) == "any"


def test_the_values_that_a_type_lists_are_offered():
    assert choices(bool) == ["true", "false"]
    assert choices(Mode | None) == ["same", "valid", "none"]
    assert choices(float) == []


def test_none_from_python_is_none():
    assert convert(None, float | None) is None
    with pytest.raises(ValueError, match="None"):
        convert(None, float)


def test_a_path_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for text, expected in {
        "a/b": tmp_path / "a/b",
        "../a": tmp_path.parent / "a",
        "~/a": tmp_path / "home/a",
        "2024": tmp_path / "2024",
        '"a b"': tmp_path / "a b",
    }.items():
        assert typed(text, Path) == expected
        assert typed(text, Path | None) == expected
    found = typed("a/b", Path)
    monkeypatch.chdir("/")
    assert convert(parse(toml(found)), Path) == found
    assert convert(found, Path) == found
    assert typed("none", Path | None) is None
    assert describe(Path | None) == "path | none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^width must be path, not ''\.$"),
        ("~nosuchuser/x", "^width: cannot use '~nosuchuser/x' as a path: there is no such user$"),
    ],
)
def test_a_path_that_cannot_be_is_refused(text, message):
    refused(text, Path, message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".5", 0.5),
        ("-.5", -0.5),
        ("+.5", 0.5),
        ("3.", 3.0),
        ("1.e-3", 1e-3),
        (".5E2", 50.0),
        ("00.25", 0.25),
        ("1_000.5", 1000.5),
        ("+1", 1.0),
        ("-inf", -math.inf),
    ],
)
def test_a_float_may_be_written_as_python_does(text, value):
    found = typed(text, float)
    assert found == value
    assert type(found) is float


def test_numbers_in_a_list_may_be_written_so_too():
    assert typed("[-.5, 1.]", tuple[float, float]) == (-0.5, 1.0)
    assert typed("[[.5], [2.e0]]", Any) == [[0.5], [2.0]]


def test_an_integer_may_have_zeros_first():
    assert typed("007", int) == 7
    assert typed("3.", int) == 3


@pytest.mark.parametrize("text", [".", "-", "...", "1.2.3", "1..2", ".e5", "1e", "1,5", "5.5.", "1-2", "v.5", "1 .5"])
def test_what_is_no_number_is_no_number(text):
    assert parse(text) == text
    refused(text, float, r"^width must be float, not ")


@pytest.mark.parametrize("text", [".5", "3.", "007"])
def test_a_string_setting_keeps_such_a_number(text):
    assert typed(text, str) == text
