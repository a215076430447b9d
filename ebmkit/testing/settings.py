"""What the settings of every part must be, so that the command line can set them and name a wrong one."""

import math
import re
import tempfile
import types
import typing
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from typing import Any, get_args, get_origin

from ebmkit.config.conversion import describe
from ebmkit.config.settings import Setting, name_of, signature
from ebmkit.testing.kit import SHAPES, NotPromised, Subject, require
from ebmkit.testing.training import Training

# The facts that each kind may ask for, by position.
_FACTS = {
    "energy": ("shape",),
    "sampler": (),
    "init": ("shape", "data"),
    "data": (),
    "watcher": ("updates", "trainer", "folder", "examples", "iterations", "config", "save", "keep", "memory", "hold"),
    "features": ("data",),
    "method": ("parts", "shape", "data", "rng", "train"),
    "network": ("inputs", "outputs"),
}


def settings_have_names(subject: Subject) -> None:
    """There is no `*args` and no `**kwargs`, whose settings have no names, and no setting called `use`."""
    try:
        settings = signature(subject.target).settings
    except TypeError as error:
        return require(False, f"{error}; write out each setting as a keyword-only parameter")
    require("use" not in settings, "a setting is called 'use', which selects the part itself; rename it")


def settings_are_keyword_only(subject: Subject) -> None:
    """Positional parameters are facts that the program knows; settings of the user follow the `*`."""
    _settings(subject)
    known = _FACTS[subject.kind]
    other = [name for name in signature(subject.target).facts if name not in known]
    require(
        not other,
        f"{', '.join(other)} of {name_of(subject.target)} can be passed by position, but is not a fact of this kind "
        f"({', '.join(known) or 'it has none'}); put settings after a `*`, or use @dataclass(kw_only=True)",
    )


def settings_have_types_that_a_command_line_can_give(subject: Subject) -> None:
    """Each is annotated with int, float, bool, str, Path, Literal, a tuple of these, or a union with one of these."""
    for name, setting in _settings(subject).items():
        require(
            _can_be_typed(setting.annotation),
            f"{name} has no type that the command line can set; annotate it with int, float, bool, str, Path, "
            f"Literal[...], tuple[...] or one of these | None; a union may also name types only for Python",
        )


def settings_have_a_line_of_help(subject: Subject) -> None:
    """Each has an entry in `Args:` of the docstring, which `ebmkit show` and the header print."""
    without = [name for name, setting in _settings(subject).items() if not setting.help]
    require(
        not without,
        f"no help for {', '.join(without)}; write a line `name: What it is.` in `Args:` of the docstring of "
        f"{name_of(subject.target)}",
    )


def float_settings_refuse_nan(subject: Subject) -> None:
    """NaN, also in a tuple, is refused by a ValueError of one line that starts with the name of the setting."""
    for name, setting in _settings(subject).items():
        for value in _with_nan(setting.annotation):
            reason = _refusal(subject, name, value)
            require(
                not reason,
                f"{name}={value} {reason}; refuse it with ebmkit.check('{name}', {name}, ...)",
            )


def _settings(subject: Subject) -> dict[str, Setting]:
    try:
        return signature(subject.target).settings
    except TypeError:
        raise NotPromised("settings with names: no *args and no **kwargs") from None


def _can_be_typed(annotation: Any) -> bool:
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return any(_can_be_typed(member) for member in get_args(annotation))
    if get_origin(annotation) is tuple:
        return all(member is Ellipsis or _can_be_typed(member) for member in get_args(annotation))
    return annotation is not Any and bool(describe(annotation))


def _with_nan(annotation: Any) -> list[Any]:
    """The values with NaN that a setting of this type can have."""
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return [value for member in get_args(annotation) for value in _with_nan(member)]
    if get_origin(annotation) is tuple:
        members = [member for member in get_args(annotation) if member is not Ellipsis]
        return [tuple(math.nan for _ in members)] if members and all(member is float for member in members) else []
    return [math.nan] if annotation is float else []


def _refusal(subject: Subject, name: str, value: Any) -> str:
    """What is wrong with how a value is refused; empty if it is refused properly."""
    spoilt = replace(subject, settings={**subject.settings, name: value})
    # A watcher may refuse points before it checks its settings.
    makes = [lambda: _watch(spoilt, SHAPES[0]), lambda: _watch(spoilt, SHAPES[1])]
    reasons = [_reason(name, make) for make in (makes if subject.kind == "watcher" else [spoilt.make])]
    return "" if "" in reasons else reasons[0]


def _reason(name: str, make: Callable[[], Any]) -> str:
    try:
        make()
    except ValueError as error:
        text = str(error)
        text = text.removeprefix("method.")  # a method is built from the sections of a run
        if "\n" not in text and re.match(rf"{name}\b", text):
            return ""
        return f"was refused by {text!r}, which is not one line that starts with '{name}'"
    except Exception as error:
        return f"raised {type(error).__name__} and not a ValueError"
    return "was accepted"


def _watch(subject: Subject, shape: tuple[int, ...]) -> None:
    """Build a watcher and watch one update: it may check its settings only then."""
    # A background process may still write while the folder is removed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, chdir(place):
        training = Training(shape)
        watched = training.watched(subject)
        training.folder.mkdir(parents=True)
        next(watched)
