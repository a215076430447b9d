"""What a name stands for: a component, and the package that it came from. Nothing is imported before it is used."""

import ast
import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from typing import Any

import ebmkit
from ebmkit.errors import UsageError, one_line
from ebmkit.registry.moved import explain

HOOKS = {
    "energy": "energies",
    "sampler": "samplers",
    "init": "inits",
    "data": "datasets",
    "watcher": "watchers",
    "features": "features",
    "method": "methods",
    "network": "networks",
}
KINDS = tuple(HOOKS)
NAME = re.compile(r"\w[\w.+-]*")
LONGEST = 200  # letters of the text of an exception of a third party


class PluginError(Exception):
    """A plug-in breaks a rule; the message says which, and what to change."""


@dataclass(frozen=True)
class Plugin:
    """Where components come from.

    Attributes:
        package: The distribution, as pip knows it.
        version: Its version.
        entry: The entry point's name and value; empty for the built-in parts.
        error: Why it was not loaded; empty for one that was.
    """

    package: str
    version: str
    entry: str = ""
    error: str = ""

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip() if self.entry else f"ebmkit {self.version}"


BUILT_IN = Plugin("shortrun-ebmkit", ebmkit.__version__)
SESSION = Plugin("registered in this session", "", entry="ebmkit.register")


@dataclass(frozen=True)
class Component:
    """A name, what it stands for, and the package that it came from."""

    kind: str
    name: str
    target: str | Callable[..., Any]
    plugin: Plugin

    def load(self) -> Callable[..., Any]:
        """The class or function itself, imported now if it is an import string.

        Raises:
            UsageError: if it cannot be imported; it is never replaced by another.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            loaded: Any = importlib.import_module(module)
            for part in attribute.split("."):
                loaded = getattr(loaded, part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too, and what pytest.skip raises
            reason = explain(error, f"{module}.{attribute}") or with_type(error)
            raise UsageError(
                f"{self.kind} '{self.name}' of {self.plugin} does not import: {reason} ({self.target})"
            ) from error
        return loaded  # type: ignore[no-any-return]

    @property
    def where(self) -> str:
        """The import string, or the module and name of the object."""
        target = getattr(self.target, "func", self.target)
        if isinstance(target, str):
            return target
        named = target if hasattr(target, "__qualname__") else type(target)
        return f"{named.__module__}:{named.__qualname__}"

    @property
    def summary(self) -> str:
        """The first line of the docstring, read from the source so that nothing is imported."""
        if isinstance(self.target, str):
            return source_summary(self.target)
        target = getattr(self.target, "func", self.target)
        return (target.__doc__ or "").strip().partition("\n")[0]


def with_type(error: BaseException) -> str:
    """An exception as one line that begins with its type; `errors.one_line` gives only the message.

    A `PluginError` is written for people and needs no type; `SystemExit` is `called sys.exit`. A text of more than
    LONGEST letters is cut.
    """
    text = one_line(error)[:LONGEST]
    if isinstance(error, PluginError):
        return text
    kind = "called sys.exit" if isinstance(error, SystemExit) else type(error).__name__
    return f"{kind}: {text}" if text else kind


def source_summary(target: str) -> str:
    """The first docstring line of what an import string names; nothing is imported, as `ebmkit.data` imports torch."""
    module, _, attribute = target.partition(":")
    try:
        name, *rest = module.split(".")
        spec = importlib.util.find_spec(name)
        for part in rest:
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, spec.submodule_search_locations) if spec is not None else None
        if spec is None or spec.origin is None:
            return ""
        with open(spec.origin, encoding="utf-8") as source:
            tree = ast.parse(source.read())
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever a finder of a third party raises; `load` reports it
        return ""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""
