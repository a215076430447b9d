"""A component's signature read as settings: names, types, defaults and help, said once.

Positional parameters are facts that the program knows (`shape`, `data`, ...); keyword-only parameters are
settings that the user may choose.
"""

import inspect
import re
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from ebmkit.errors import UsageError, nearest

REQUIRED = inspect.Parameter.empty
NONE = "none"  # TOML has no null: this is how a setting without a value is written.


@dataclass(frozen=True)
class Setting:
    """One keyword-only parameter of a component."""

    name: str
    annotation: Any
    default: Any
    help: str = ""

    @property
    def type(self) -> str:
        """The type as users read it: `float | none`."""
        return describe(self.annotation)

    def convert(self, value: Any, text: str | None = None) -> Any:
        """`value`, as read from TOML, in this setting's type; `text` is what was typed, where it was typed.

        Raises:
            UsageError: naming the setting, the expected type and what was given.
        """
        try:
            return convert(value, self.annotation, text)
        except ValueError:
            given = value if text is None else text
            hint = nearest(str(given), [str(choice) for choice in choices(self.annotation)])
            raise UsageError(f"{self.name} must be {self.type}, not {given!r}.{hint}") from None


@dataclass(frozen=True)
class Signature:
    """What a component asks for: facts by position, settings by name."""

    facts: tuple[str, ...]
    settings: dict[str, Setting]


def signature(target: Callable[..., Any], facts: tuple[str, ...] | None = None) -> Signature:
    """Read the signature of a class, function or partial.

    Args:
        target: The component.
        facts: Where given, these parameters are the facts and every other is a setting (torch's optimisers,
            which are not ours, take their settings by position).

    Raises:
        TypeError: if it takes `*args` or `**kwargs`: then its settings have no names.
    """
    helps = argument_helps(target)
    hints = annotations(target)
    found: list[str] = []
    settings: dict[str, Setting] = {}
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{name_of(target)} takes {parameter}: every setting needs a name of its own")
        is_fact = parameter.name in facts if facts is not None else parameter.kind is not parameter.KEYWORD_ONLY
        if is_fact:
            found.append(parameter.name)
        else:
            name = parameter.name
            settings[name] = Setting(name, hints.get(name, Any), parameter.default, helps.get(name, ""))
    return Signature(tuple(found), settings)


def name_of(target: Any) -> str:
    """A component's name for messages."""
    return str(getattr(getattr(target, "func", target), "__name__", target))


def annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """Resolved annotations of the parameters; a name that does not resolve makes that one parameter untyped."""
    target = getattr(target, "func", target)
    function = target.__init__ if inspect.isclass(target) else target
    names = getattr(inspect.unwrap(function), "__globals__", {})
    resolved: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        with suppress(NameError, SyntaxError, TypeError, AttributeError):
            resolved |= typing.get_type_hints(alone, names)
    return resolved


def argument_helps(target: Callable[..., Any]) -> dict[str, str]:
    """The `Args:` entries of a Google-style docstring, each on one line."""
    target = getattr(target, "func", target)
    doc = inspect.getdoc(target) or ""
    match = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", doc + "\n", re.MULTILINE)
    helps: dict[str, str] = {}
    name = ""
    for line in match.group(1).splitlines() if match else ():
        if entry := re.match(r" {4}(\w+)(?: \([^)]*\))?: (.*)", line):
            name, helps[entry.group(1)] = entry.group(1), entry.group(2).strip()
        elif name and line.strip():
            helps[name] += " " + line.strip()
    return helps


def parse(text: str) -> Any:
    """A typed value: TOML where it is TOML, else the bare word.

    >>> parse("0.1"), parse("true"), parse("[1, 2]"), parse("hmc")
    (0.1, True, [1, 2], 'hmc')
    """
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # tomllib raises the bare kinds for digits and brackets by the thousand
        return text
    return table["value"] if len(table) == 1 else text


def convert(value: Any, annotation: Any, text: str | None = None) -> Any:
    """`value` as the annotated type, or ValueError. Members of a union are tried in order.

    What TOML cannot say (a tensor, another component) is for Python only: here it never matches.
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
    elif annotation in (None, type(None)) and value == NONE:
        return None
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


def _first(value: Any, members: tuple[Any, ...], text: str | None) -> Any:
    # "none" is also a string: where both are allowed, none wins.
    for member in sorted(members, key=lambda m: m is not type(None)):
        try:
            return convert(value, member, text)
        except ValueError:
            continue
    raise ValueError(value)


def _tuple(values: list[Any] | tuple[Any, ...], members: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(members) == 2 and members[1] is Ellipsis:
        return tuple(convert(value, members[0]) for value in values)
    if len(members) != len(values):
        raise ValueError(values)
    return tuple(convert(value, member) for value, member in zip(values, members, strict=True))


def choices(annotation: Any) -> list[Any]:
    """The values that an annotation lists, for hints and completion."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return [choice for member in get_args(annotation) for choice in choices(member)]
    return [NONE] if annotation is type(None) else []


def describe(annotation: Any) -> str:
    """The type in words a user may type: members that only Python can give are left out."""
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
    if annotation in (int, float, bool, str):
        return str(annotation.__name__)
    return "any" if annotation is Any else ""


def bind(target: Callable[..., Any], facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """Call a component with the facts that it asks for and the settings that were chosen.

    Raises:
        ValueError: if it asks for a fact that the program does not know.
    """
    parameters = inspect.signature(target).parameters.values()
    asked = [p for p in parameters if p.kind is not p.KEYWORD_ONLY and p.name not in settings]
    for parameter in asked:
        if parameter.name not in facts and parameter.default is REQUIRED:
            known = ", ".join(facts)
            raise ValueError(f"{name_of(target)} asks for '{parameter.name}', which is no fact known here ({known})")
    return target(**{p.name: facts[p.name] for p in asked if p.name in facts}, **settings)
