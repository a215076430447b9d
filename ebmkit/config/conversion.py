"""Values from the command line, from TOML or from Python, converted to the type that a signature states."""

import os
import re
import tomllib
import types
import typing
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from ebmkit.config.toml_text import showable
from ebmkit.errors import UsageError

NUMBER = re.compile(r"([+-]?)(?=[\d.]*\d)(\d*)(\.?)(\d*)([eE][+-]?\d+)?")
NUMBERS = re.compile(r"[\[\],\s\d.eE+-]*")  # numbers, and lists of them
NONE = "none"  # TOML has no null: a setting without a value is written as this word


def parse(text: str) -> Any:
    """The value of a typed text: read as TOML if it is TOML, else the text itself.

    Numbers may also be written as TOML does not allow: without a digit on one side of the point, or with zeros first.

    >>> parse("0.1"), parse("true"), parse("[1, 2]"), parse("hmc")
    (0.1, True, [1, 2], 'hmc')
    >>> parse(".5"), parse("3."), parse("007"), parse("[-.5, 1.e-3]")
    (0.5, 3.0, 7, [-0.5, 0.001])
    """
    for form in (text, NUMBER.sub(as_toml, text) if NUMBERS.fullmatch(text) else text):
        try:
            table = showable(tomllib.loads(f"value = {form}"))
        except (ValueError, RecursionError):  # tomllib raises the bare kinds for digits and brackets by the thousand
            continue
        return table["value"] if len(table) == 1 else text
    return text


def as_toml(number: re.Match[str]) -> str:
    """A number as TOML writes it."""
    sign, whole, point, fraction, exponent = number.groups()
    return f"{sign}{whole.lstrip('0') or '0'}{point and '.'}{point and (fraction or '0')}{exponent or ''}"


def convert(value: Any, annotation: Any, text: str | None = None) -> Any:
    """Convert `value` to the annotated type; the members of a union are tried in order.

    Types that TOML cannot express (a tensor, another component) never match: only a call in Python can pass them. A
    path becomes absolute, from the current folder; `~` is the home folder. `Path | str` is a path where a file or
    folder exists, and otherwise a name.

    Args:
        value: The value, as read from TOML.
        annotation: The type.
        text: What was typed, if it came from the command line.

    Raises:
        ValueError: if it cannot be converted; a UsageError if there is more to say than that.
    """
    origin = get_origin(annotation)
    if annotation is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _first(value, get_args(annotation), text)
    if origin is Literal:
        for choice in get_args(annotation):
            if text == str(choice) or (value == choice and type(value) is type(choice)):
                return choice
    elif origin is tuple and isinstance(value, list | tuple):
        return _tuple(value, get_args(annotation))
    elif annotation in (None, type(None)) and (value is None or value == NONE):
        return None
    elif annotation is Path and (text is not None or isinstance(value, str | Path)):
        return _path(value if isinstance(value, str | Path) else str(text))
    elif annotation is str and (text is not None or isinstance(value, str)):
        return text if text is not None and not isinstance(value, str) else value
    elif annotation is bool and isinstance(value, bool):
        return value
    elif annotation is int and not isinstance(value, bool):
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            return int(value)
    elif annotation is float and isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    raise ValueError(value)


def _path(value: str | Path) -> Path:
    # Absolute, so that a run that was made in one folder can be resumed from another.
    if not str(value):
        raise ValueError(value)
    try:
        return Path(os.path.abspath(Path(value).expanduser()))
    except RuntimeError:
        raise UsageError(f"cannot use '{value}' as a path: there is no such user") from None


def _first(value: Any, members: tuple[Any, ...], text: str | None) -> Any:
    # "none" is also a string: where both are allowed, none wins. A path wins over a name only where it exists.
    for member in sorted(members, key=lambda m: m is not type(None)):
        try:
            found = convert(value, member, text)
        except ValueError:
            continue
        if not (member is Path and str in members) or os.path.exists(found):
            return found
    raise ValueError(value)


def _tuple(values: list[Any] | tuple[Any, ...], members: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(members) == 2 and members[1] is Ellipsis:
        return tuple(convert(value, members[0]) for value in values)
    if len(members) != len(values):
        raise ValueError(values)
    return tuple(convert(value, member) for value, member in zip(values, members, strict=True))


def choices(annotation: Any) -> list[Any]:
    """The values that an annotation enumerates, for hints and completion."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return [choice for member in get_args(annotation) for choice in choices(member)]
    return [NONE] if annotation is type(None) else []


def describe(annotation: Any) -> str:
    """The type as error messages show it; members that only Python can pass are left out."""
    origin = get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [describe(member) for member in get_args(annotation)]
        return " | ".join(part for part in parts if part) or "a Python object"
    if origin is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if origin is tuple:
        members = ["..." if member is Ellipsis else describe(member) for member in get_args(annotation)]
        return f"[{', '.join(members)}]"
    if annotation is type(None):
        return NONE
    if annotation is Path:
        return "path"
    if annotation in (int, float, bool, str):
        return str(annotation.__name__)
    return "any" if annotation is Any else ""
