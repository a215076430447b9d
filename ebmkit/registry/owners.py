"""Parts and presets looked up by everything that names them: their own name, their package, or `package:name`."""

from ebmkit.errors import UsageError, nearest
from ebmkit.registry.component import BUILT_IN, KINDS, Plugin
from ebmkit.registry.lookup import get_registry
from ebmkit.registry.presets import Part


def every_part() -> list[Part]:
    """All parts, by kind, then all presets."""
    registry = get_registry()
    parts = [component for kind in KINDS for component in registry.of_kind(kind)]
    return [*parts, *(preset for found in registry.presets.values() for preset in found)]


def packages() -> list[str]:
    """The names of the packages that have plug-ins, whether or not these loaded."""
    return [plugin.package for plugin in get_registry().plugins]


def packages_of(part: Part) -> tuple[str, ...]:
    """The names of a part's package: that of its distribution, and `ebmkit` for the built-in parts."""
    return (part.plugin.package, "ebmkit") if part.plugin is BUILT_IN else (part.plugin.package,)


def names_of(part: Part) -> set[str]:
    """Everything that names a part or a preset: its name, its package, and `package:name`."""
    return {part.name, *packages_of(part), *(f"{package}:{part.name}" for package in packages_of(part))}


def parts_of(name: str) -> list[Part]:
    """The parts and presets of a package, or all of that name, of any kind.

    Raises:
        UsageError: if there are none, or the package did not load.
    """
    every = every_part()
    found = [one for one in every if name in names_of(one)]
    if found:
        return found
    for plugin in get_registry().broken:
        if plugin.package == name:
            raise UsageError(f"{plugin.package} {plugin.version} did not load: {plugin.error}")
    known = [*packages(), *(one.name for one in every)]
    raise UsageError(f"no package, part or preset is called '{name}'.{nearest(name, known)} See: ebmkit list")


def plugins_of(name: str | None) -> list[Plugin]:
    """The plug-ins of a package; all of them for None.

    Raises:
        UsageError: if there are none, with the nearest name.
    """
    found = [plugin for plugin in get_registry().plugins if name in (None, plugin.package)]
    if name is None or found:
        return found
    if any(name in names_of(part) for part in every_part()):
        raise UsageError(f"'{name}' is no plug-in, but its parts can be tested: ebmkit plugins --check {name}")
    raise UsageError(f"no plug-in '{name}'.{nearest(name, packages())} Installed: {', '.join(packages()) or 'none'}.")


def section_of(part: Part) -> str:
    """The section of a part's settings; that of a network is named by the role that it has in a method."""
    return f"watch.{part.name}" if part.kind == "watcher" else part.kind
