"""Settings read from the signature of a component: names, types, defaults and help.

Positional parameters are facts that the program knows (`shape`, `data`, ...); keyword-only parameters are
settings that the user may choose.
"""

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ebmkit.config.conversion import choices, convert, describe
from ebmkit.errors import UsageError, nearest

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Setting:
    """One keyword-only parameter of a component."""

    name: str
    annotation: Any
    default: Any
    help: str = ""

    @property
    def type(self) -> str:
        """The type as error messages show it, like `float | none`."""
        return describe(self.annotation)

    def convert(self, value: Any, text: str | None = None) -> Any:
        """Convert a value, as read from TOML, to the type of this setting; `text` is what was typed, if it was typed.

        Raises:
            UsageError: naming the setting, the expected type and what was given.
        """
        try:
            return convert(value, self.annotation, text)
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from None
        except ValueError:
            given = value if text is None else text
            hint = nearest(str(given), [str(choice) for choice in choices(self.annotation)])
            raise UsageError(f"{self.name} must be {self.type}, not {given!r}.{hint}") from None


@dataclass(frozen=True)
class Lazy:
    """A fact that is computed when a component asks for it."""

    get: Callable[[], Any]


@dataclass(frozen=True)
class Signature:
    """The parameters of a component: facts by position, settings by name."""

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
    """The name of a component in messages."""
    return str(getattr(getattr(target, "func", target), "__name__", target))


def annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters, resolved; a parameter whose annotation cannot be resolved is left out."""
    target = getattr(target, "func", target)
    function = target.__init__ if inspect.isclass(target) else target
    names = getattr(inspect.unwrap(function), "__globals__", {})
    resolved: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        with suppress(NameError, SyntaxError, TypeError, AttributeError):
            resolved |= typing.get_type_hints(holder, names)
    return resolved


def argument_helps(target: Callable[..., Any]) -> dict[str, str]:
    """The `Args:` entries of a Google-style docstring, each on one line."""
    target = getattr(target, "func", target)
    doc = inspect.getdoc(target) or ""
    match = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", doc + "\n", re.MULTILINE)
    helps: dict[str, str] = {}
    name = ""
    for line in match.group(1).splitlines() if match else ():
        if entry := re.match(r" {4}(\w+)(?: \([^)]*\))?:(?: (.*))?$", line):
            name, helps[entry.group(1)] = entry.group(1), (entry.group(2) or "").strip()
        elif name and line.strip():
            helps[name] = f"{helps[name]} {line.strip()}".strip()
    return helps


def bind(target: Callable[..., Any], facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """Call a component with the facts that it asks for and the settings that were chosen.

    Raises:
        ValueError: if it asks for a fact that is not given here.
    """
    for parameter in positional(target):
        if parameter.name not in {**facts, **settings} and parameter.default is REQUIRED:
            raise ValueError(f"{name_of(target)} asks for {missing_fact(parameter.name, facts)}")
    return target(
        **asked_facts(target, {name: fact for name, fact in facts.items() if name not in settings}), **settings
    )


def asked_facts(target: Callable[..., Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the facts that a component asks for; a lazy one is computed now."""
    known = {one.name: facts[one.name] for one in positional(target) if one.name in facts}
    return {name: fact.get() if isinstance(fact, Lazy) else fact for name, fact in known.items()}


def positional(target: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a component that can be passed by position."""
    return [one for one in inspect.signature(target).parameters.values() if one.kind is not one.KEYWORD_ONLY]


def missing_fact(name: str, facts: Mapping[str, Any]) -> str:
    """Why a fact is missing: it was renamed in plug-in API 2, or there is none of this name."""
    renamed = {"steps": "updates", "state": "save"}.get(name)
    if renamed in facts:
        return f"'{name}', which is called '{renamed}' since plug-in API 2: rename the parameter"
    return f"'{name}', which is not a fact that is given here ({', '.join(facts)})"
