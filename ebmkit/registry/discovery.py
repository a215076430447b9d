"""Loads plug-ins one by one, independently: one that fails is recorded and does not affect the others."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, EntryPoint, distributions
from types import ModuleType
from typing import Any

import pluggy

import ebmkit
from ebmkit.errors import nearest
from ebmkit.registry import hooks as hookspecs
from ebmkit.registry.component import BUILT_IN, HOOKS, LONGEST, NAME, Component, Plugin, PluginError, with_type
from ebmkit.registry.importing import named_if_slow
from ebmkit.registry.moved import explain
from ebmkit.registry.presets import PRESETS, Part, checked_folder

UNKNOWN = "unknown"


def installed() -> tuple[list[EntryPoint], list[Plugin]]:
    """The entry points to load, sorted, and the packages whose list of them cannot be read.

    `importlib.metadata.entry_points` raises for all packages if one is damaged, so each is read separately.
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
                raise PluginError(
                    f"a package in {place} has no METADATA that can be read: remove its .dist-info, or install it again"
                )
            entries[package] = found
        except Exception as error:
            if strict():
                raise
            broken.append(Plugin(*identity(distribution), "entry_points.txt", with_type(error)))
    every = [entry for package in sorted(entries, key=str.lower) for entry in sorted(entries[package])]
    return every, sorted(broken, key=str)


def allowed(package: str) -> bool:
    """Whether `EBMKIT_PLUGINS` allows a package: all, none, or a comma-separated list."""
    names = [name.strip().lower() for name in os.environ.get("EBMKIT_PLUGINS", "all").split(",")]
    return names == ["all"] or (names != ["none"] and package.lower() in names)


def strict() -> bool:
    """Whether a plug-in that fails should raise: `EBMKIT_STRICT_PLUGINS=1`."""
    return os.environ.get("EBMKIT_STRICT_PLUGINS") == "1"


def load(entry: EntryPoint, known: Mapping[tuple[str, str], Sequence[Part]]) -> tuple[Plugin, list[Part]]:
    """Load one plug-in: where it comes from (with its error, if it breaks a rule), its components and its presets.

    Args:
        entry: Its entry point.
        known: Those so far by kind and name; a built-in name, or one of the same package, is refused.
    """
    package, version = identity(entry.dist)
    plugin = Plugin(package, version, f"{entry.name} = {entry.value}"[:LONGEST])
    try:
        with named_if_slow(plugin):
            found = collect(entry.load(), plugin)
        for component in found:
            owners = [other.plugin for other in known.get((component.kind, component.name), [])]
            if BUILT_IN in owners:
                raise PluginError(f"{component.kind} '{component.name}' is built in and cannot be replaced")
            if package in [owner.package for owner in owners]:
                raise PluginError(f"{component.kind} '{component.name}' comes from two entry points of {package}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too, and what pytest.skip raises
        if strict():
            raise
        return Plugin(package, version, plugin.entry, explain(error) or with_type(error)), []
    return plugin, found


def collect(module: Any, plugin: Plugin) -> list[Part]:
    """The components and presets of one plug-in, from a plug-in manager of its own, which cannot affect the others.

    Raises:
        PluginError: if it needs a newer plug-in API, implements an unknown hook, or one that returns something else.
    """
    number = getattr(module, "EBMKIT_PLUGIN_API", hookspecs.PLUGIN_API)
    if not isinstance(number, int) or number > hookspecs.PLUGIN_API:
        have = f"this ebmkit {ebmkit.__version__} has {hookspecs.PLUGIN_API}"
        raise PluginError(f"needs plug-in API {number}; {have}: pip install --upgrade shortrun-ebmkit")
    hooks = pluggy.PluginManager("ebmkit")
    hooks.add_hookspecs(hookspecs)
    hooks.register(module)
    for hook in (*HOOKS.values(), PRESETS):
        if isinstance(getattr(module, "__dict__", {}).get(hook), ModuleType):
            raise PluginError(f"its module '{hook}' has the name of the hook, which it replaces: name it otherwise")
    implemented = [caller.name for caller in hooks.get_hookcallers(module) or []]
    for hook in implemented:
        if hook not in (known := [*HOOKS.values(), PRESETS]):
            raise PluginError(f"unknown hook '{hook}'.{nearest(hook, known)}")
    if not implemented:
        raise PluginError("implements no hook: mark a function with @ebmkit.hookimpl")
    found: list[Part] = [one for folder in hooks.hook.presets() for one in checked_folder(folder, plugin)]
    for kind, hook in HOOKS.items():
        for table in getattr(hooks.hook, hook)():
            for component, target in checked_table(hook, table):
                found.append(Component(kind, component, target, plugin))
    return found


def checked_table(hook: str, table: Any) -> list[tuple[str, Any]]:
    """The items of the dict that a hook returned, which must be names and components."""
    if not isinstance(table, dict):
        raise PluginError(f"hook '{hook}' must return a dict of names and components, not {type(table).__name__}")
    for name, target in table.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):  # it becomes part of the name of a folder
            raise PluginError(f"hook '{hook}': {name!r} is not a name (one word of letters, digits, _, -, . and +)")
        if not callable(target) and not (isinstance(target, str) and target.count(":") == 1):
            raise PluginError(f"hook '{hook}': '{name}' must be a callable or 'package.module:Name', not {target!r}")
    return list(table.items())


def identity(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version of a distribution; `unknown` where they are missing, are too long, or cannot be read."""
    try:
        metadata: Any = distribution.metadata if distribution is not None else {}
        name, version = (" ".join(str(metadata[key] or UNKNOWN).split()) for key in ("Name", "Version"))
    except Exception:  # the parser of headers raises many types for a damaged file
        return UNKNOWN, UNKNOWN
    return (name, version) if len(name) + len(version) <= LONGEST else (UNKNOWN, UNKNOWN)
