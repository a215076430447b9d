"""Loads plug-ins one at a time, each on its own: one that fails is set aside and changes nothing for the others."""

import os
from collections.abc import Mapping
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

import pluggy

import ebmkit
from ebmkit.errors import nearest
from ebmkit.registry import hooks as hookspecs
from ebmkit.registry.component import BUILT_IN, HOOKS, Component, Plugin, PluginError, one_line

UNKNOWN = "unknown"


def installed() -> tuple[list[EntryPoint], list[Plugin]]:
    """The entry points to load, in the same order everywhere, and the packages whose list of them is broken.

    `importlib.metadata.entry_points` would raise for all where one package is damaged; so each is asked on its own.
    """
    entries: dict[str, list[EntryPoint]] = {}
    broken = []
    for distribution in distributions():
        try:
            if "ebmkit" not in (distribution.read_text("entry_points.txt") or ""):
                continue
            package, _ = identity(distribution)
            if package in entries or not allowed(package):
                continue
            found = list(distribution.entry_points.select(group="ebmkit"))
            if found and package == UNKNOWN:
                place = distribution.locate_file("")
                raise PluginError(f"a package in {place} has no METADATA: remove its .dist-info, or install it again")
            entries[package] = found
        except Exception as error:
            if strict():
                raise
            broken.append(Plugin(*identity(distribution), "entry_points.txt", one_line(error)))
    every = [entry for package in sorted(entries, key=str.lower) for entry in sorted(entries[package])]
    return every, sorted(broken, key=str)


def allowed(package: str) -> bool:
    """Whether `EBMKIT_PLUGINS` lets a package in: all, none, or a comma list."""
    names = [name.strip().lower() for name in os.environ.get("EBMKIT_PLUGINS", "all").split(",")]
    return names == ["all"] or (names != ["none"] and package.lower() in names)


def strict() -> bool:
    """Whether a plug-in that fails shall raise."""
    return os.environ.get("EBMKIT_STRICT_PLUGINS") == "1"


def load(entry: EntryPoint, known: Mapping[tuple[str, str], list[Component]]) -> tuple[Plugin, list[Component]]:
    """Load one plug-in: what it is (with its error, if it broke the rules) and what it brings.

    Args:
        entry: Its entry point.
        known: What is there by kind and name. Nobody may take a built-in name, nor one of his own package's again.
    """
    package, version = identity(entry.dist)
    plugin = Plugin(package, version, f"{entry.name} = {entry.value}")
    try:
        found = collect(entry.load(), plugin)
        for component in found:
            owners = [other.plugin for other in known.get((component.kind, component.name), [])]
            if BUILT_IN in owners:
                raise PluginError(f"{component.kind} '{component.name}' is built in and cannot be replaced")
            if package in [owner.package for owner in owners]:
                raise PluginError(f"{component.kind} '{component.name}' is brought by two entry points of {package}")
    except (Exception, SystemExit) as error:
        if strict():
            raise
        return Plugin(package, version, plugin.entry, one_line(error)), []
    return plugin, found


def collect(module: Any, plugin: Plugin) -> list[Component]:
    """Ask one plug-in for its components, through hooks of its own: it cannot see the others, nor break them.

    Raises:
        PluginError: if it was written for a newer interface, implements an unknown hook, or gives what no hook gives.
    """
    number = getattr(module, "EBMKIT_PLUGIN_API", hookspecs.PLUGIN_API)
    if not isinstance(number, int) or number > hookspecs.PLUGIN_API:
        have = f"this ebmkit {ebmkit.__version__} has {hookspecs.PLUGIN_API}"
        raise PluginError(f"needs plug-in API {number}; {have}: pip install --upgrade shortrun-ebmkit")
    hooks = pluggy.PluginManager("ebmkit")
    hooks.add_hookspecs(hookspecs)
    hooks.register(module)
    implemented = [caller.name for caller in hooks.get_hookcallers(module) or []]
    for hook in implemented:
        if hook not in HOOKS.values():
            raise PluginError(f"unknown hook '{hook}'.{nearest(hook, HOOKS.values())}")
    if not implemented:
        raise PluginError("implements no hook: mark a function with @ebmkit.hookimpl")
    found: list[Component] = []
    for kind, hook in HOOKS.items():
        for table in getattr(hooks.hook, hook)():
            for component, target in checked_table(hook, table):
                found.append(Component(kind, component, target, plugin))
    return found


def checked_table(hook: str, table: Any) -> list[tuple[str, Any]]:
    """The items of what a hook gave, which must be names and components."""
    if not isinstance(table, dict):
        raise PluginError(f"hook '{hook}' must give a dict of names and components, not {type(table).__name__}")
    for name, target in table.items():
        if not isinstance(name, str) or not name or set(name) & set(": ,"):
            raise PluginError(f"hook '{hook}': {name!r} is no name (a word without ':', ',' or blanks)")
        if not callable(target) and not (isinstance(target, str) and target.count(":") == 1):
            raise PluginError(f"hook '{hook}': '{name}' must be a callable or 'package.module:Name', not {target!r}")
    return list(table.items())


def identity(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version of a distribution; `unknown` where it does not say."""
    try:
        said: Any = distribution.metadata if distribution is not None else {}
        return str(said["Name"] or UNKNOWN), str(said["Version"] or UNKNOWN)
    except (KeyError, TypeError):
        return UNKNOWN, UNKNOWN
