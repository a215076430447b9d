"""Loads plug-ins one at a time, each on its own: one that fails is set aside and changes nothing for the others."""

import os
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

import ebmkit
from ebmkit import hookspecs
from ebmkit.components import HOOKS, Component, Plugin, PluginError, one_line
from ebmkit.errors import nearest


def allowed(entries: Iterable[EntryPoint]) -> list[EntryPoint]:
    """The entry points to load, in the same order everywhere."""
    wanted = os.environ.get("EBMKIT_PLUGINS", "all")
    names = [name.strip().lower() for name in wanted.split(",")]
    ordered = sorted(entries, key=lambda entry: (package_of(entry).lower(), entry.name))
    if names == ["none"]:
        return []
    return [entry for entry in ordered if names == ["all"] or package_of(entry).lower() in names]


def load(hooks: pluggy.PluginManager, entry: EntryPoint, taken: set[tuple[str, str]]) -> tuple[Plugin, list[Component]]:
    """Load one plug-in: what it is (with its error, if it broke the rules) and what it brings.

    Args:
        hooks: Where it is registered, or not at all.
        entry: Its entry point.
        taken: Kinds and names that are built in, which nobody may take.
    """
    version = entry.dist.version if entry.dist else "unknown"
    plugin = Plugin(package_of(entry), version, f"{entry.name} = {entry.value}")
    name = f"{plugin.package}:{entry.name}"
    try:
        found = collect(hooks, entry.load(), name, plugin)
        for component in found:
            if (component.kind, component.name) in taken:
                raise PluginError(f"{component.kind} '{component.name}' is built in and cannot be replaced")
    except (Exception, SystemExit) as error:
        if hooks.get_plugin(name) is not None:
            hooks.unregister(name=name)
        if os.environ.get("EBMKIT_STRICT_PLUGINS") == "1":
            raise
        return Plugin(plugin.package, version, plugin.entry, one_line(error)), []
    return plugin, found


def collect(hooks: pluggy.PluginManager, module: Any, name: str, plugin: Plugin) -> list[Component]:
    """Register one plug-in and ask it alone for its components.

    Raises:
        PluginError: if it was written for a newer interface, implements an unknown hook, or gives what no hook gives.
    """
    number = getattr(module, "EBMKIT_PLUGIN_API", hookspecs.PLUGIN_API)
    if not isinstance(number, int) or number > hookspecs.PLUGIN_API:
        have = f"this ebmkit {ebmkit.__version__} has {hookspecs.PLUGIN_API}"
        raise PluginError(f"needs plug-in API {number}; {have}: pip install --upgrade shortrun-ebmkit")
    hooks.register(module, name=name)
    implemented = [caller.name for caller in hooks.get_hookcallers(module) or []]
    for hook in implemented:
        if hook not in HOOKS.values():
            raise PluginError(f"unknown hook '{hook}'.{nearest(hook, HOOKS.values())}")
    if not implemented:
        raise PluginError("implements no hook: mark a function with @ebmkit.hookimpl")
    others = [other for other in hooks.get_plugins() if other is not module]
    found: list[Component] = []
    for kind, hook in HOOKS.items():
        for table in hooks.subset_hook_caller(hook, others)():
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


def package_of(entry: EntryPoint) -> str:
    """The distribution that an entry point belongs to."""
    return entry.dist.name if entry.dist else "unknown"
