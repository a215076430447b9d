"""Finds components by name: the built-in ones and those of every plug-in that loaded."""

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ebmkit.errors import UsageError, nearest
from ebmkit.registry import builtin
from ebmkit.registry.component import BUILT_IN, HOOKS, KINDS, SESSION, Component, Plugin, PluginError
from ebmkit.registry.discovery import checked_table, collect, installed, load
from ebmkit.registry.presets import Part, Preset

One = TypeVar("One", Component, Preset)


@dataclass
class Registry:
    """Everything that can be chosen by name."""

    plugins: list[Plugin] = field(default_factory=list)
    components: dict[tuple[str, str], list[Component]] = field(default_factory=dict)
    presets: dict[tuple[str, str], list[Preset]] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """Add a component or a preset; two of one kind and name are both kept (see `find`)."""
        if isinstance(part, Preset):
            self.presets.setdefault((part.kind, part.name), []).append(part)
        else:
            self.components.setdefault((part.kind, part.name), []).append(part)

    def find(self, kind: str, name: str) -> Component:
        """The component of that name; `package:name` selects one of several.

        Raises:
            UsageError: for an unknown kind or name (with the nearest match), or a name that several packages use.
        """
        if kind not in HOOKS:
            raise UsageError(f"unknown kind '{kind}'.{nearest(kind, KINDS)} Kinds: {', '.join(KINDS)}.")
        return self._only(kind, name, self.components)

    def preset(self, name: str) -> Preset:
        """The preset of that name; `package:name` selects one of several.

        Raises:
            UsageError: for an unknown name (with the nearest match), or one that several packages use.
        """
        return self._only(Preset.kind, name, self.presets)

    def _only(self, kind: str, name: str, table: Mapping[tuple[str, str], list[One]]) -> One:
        """The only one of a kind and name in a table."""
        package, _, bare = name.rpartition(":")
        found = table.get((kind, bare), [])
        if package:
            found = [one for one in found if one.plugin.package == package]
        if len(found) == 1:
            return found[0]
        if found:
            full = " or ".join(f"{one.plugin.package}:{bare}" for one in found)
            raise UsageError(f"{kind} '{bare}' is offered by several packages; write {full}.")
        names = self.names(kind)
        message = f"unknown {kind} '{name}'.{nearest(name, names)} Installed: {', '.join(names)}."
        for plugin in self.broken:
            message += f" A plug-in did not load: {plugin.package} {plugin.version} ({plugin.error})."
        raise UsageError(message)

    def names(self, kind: str) -> list[str]:
        """Every name that `find` accepts for this kind, or `preset` for presets; one of several packages with each."""
        names: list[str] = []
        table: Mapping[tuple[str, str], Sequence[Part]] = self.presets if kind == Preset.kind else self.components
        for (each, name), found in table.items():
            if each == kind:
                names += [name] if len(found) == 1 else [f"{one.plugin.package}:{name}" for one in found]
        return names

    def of_kind(self, kind: str) -> list[Component]:
        """All components of a kind, the built-in ones first."""
        return [one for (each, _), found in self.components.items() if each == kind for one in found]

    @property
    def broken(self) -> list[Plugin]:
        """The plug-ins that did not load."""
        return [plugin for plugin in self.plugins if plugin.error]


@functools.cache
def get_registry() -> Registry:
    """The registry of this process, built at the first call.

    `EBMKIT_PLUGINS=none` disables all plug-ins; a comma-separated list of packages disables all others.
    `EBMKIT_STRICT_PLUGINS=1` raises the first failure instead of recording it.
    """
    registry = Registry()
    for part in collect(builtin, BUILT_IN):
        registry.add(part)
    entries, registry.plugins = installed()
    for entry in entries:
        plugin, found = load(entry, {**registry.components, **registry.presets})
        registry.plugins.append(plugin)
        for part in found:
            registry.add(part)
    return registry


def register(kind: str, name: str, target: str | Callable[..., Any]) -> None:
    """Add a component for this session, as in a notebook; it can then be chosen by name.

    Args:
        kind: energy, sampler, init, data, watcher, features, method or network.
        name: Its name; registered again, it refers to the newer target.
        target: A class, function, partial or import string.

    Raises:
        UsageError: for an unknown kind, an invalid or built-in name, or a target that is not a component.
    """
    if kind not in HOOKS:
        raise UsageError(f"unknown kind '{kind}'.{nearest(kind, KINDS)} Kinds: {', '.join(KINDS)}.")
    try:
        checked_table(HOOKS[kind], {name: target})
    except PluginError as error:
        raise UsageError(f"register: {error}") from None
    known = get_registry().components.setdefault((kind, name), [])
    if any(component.plugin is BUILT_IN for component in known):
        raise UsageError(f"{kind} '{name}' is built in and cannot be replaced; choose another name")
    known[:] = [one for one in known if one.plugin is not SESSION]
    known.append(Component(kind, name, target, SESSION))


def blame(error: BaseException, components: Iterable[Component]) -> None:
    """Add a note to an exception that says from which third-party component it came."""
    modules = set()
    trace = error.__traceback__
    while trace is not None:
        modules.add(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    for component in components:
        package = component.where.partition(":")[0].partition(".")[0]
        if component.plugin is not BUILT_IN and package in modules and package in sys.modules:
            error.add_note(f"in {component.kind} '{component.name}' from {component.plugin} ({component.where})")
