"""Completion of names and settings by the shell. Only settings import code: that of the part that has them."""

from collections.abc import Callable

import typer

from ebmkit.errors import UsageError
from ebmkit.registry.component import HOOKS, KINDS
from ebmkit.registry.lookup import get_registry


def kinds(incomplete: str) -> list[str]:
    """Kinds of parts."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def listed_kinds(incomplete: str) -> list[str]:
    """What `ebmkit list` takes."""
    return [kind for kind in (*KINDS, "presets") if kind.startswith(incomplete)]


def shown_kinds(incomplete: str) -> list[str]:
    """What `ebmkit show` takes."""
    return [kind for kind in (*KINDS, "preset") if kind.startswith(incomplete)]


def names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the kind that was typed before."""
    kind = ctx.params.get("kind") or ""
    if kind == "preset":
        return preset_names(incomplete)
    return [name for name in get_registry().names(kind) if name.startswith(incomplete)] if kind in HOOKS else []


def names_of(kind: str) -> Callable[[str], list[str]]:
    """A completer for the names of one kind."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in get_registry().names(kind) if name.startswith(incomplete)]

    return complete


def owners(incomplete: str) -> list[str]:
    """Packages with plug-ins, then names of parts."""
    packages = [plugin.package for plugin in get_registry().plugins]
    every = [*packages, *(name for kind in KINDS for name in get_registry().names(kind))]
    return [name for name in dict.fromkeys(every) if name.startswith(incomplete)]


def preset_names(incomplete: str) -> list[str]:
    """Names of presets."""
    return [name for name in get_registry().names("preset") if name.startswith(incomplete)]


def settings(ctx: typer.Context, incomplete: str) -> list[str]:
    """`section.key=` of the chosen parts, and after the `=` the values that a setting lists."""
    from ebmkit.config.conversion import choices
    from ebmkit.config.layers import Layer, Value
    from ebmkit.config.resolution import asked_by

    chosen = Layer("command line")
    for section in ("method", "energy", "sampler", "init", "data"):
        if ctx.params.get(section):
            chosen.put(section, "use", Value(ctx.params[section], "", str(ctx.params[section])))
    try:
        asked = asked_by([chosen])
    except UsageError:
        return []  # an unknown part is reported when the command runs
    found = []
    for path, setting in asked.items():
        values = choices(setting.annotation) if incomplete.startswith(f"{path}=") else []
        found += [f"{path}={value}" for value in values] or [f"{path}="]
    return [text for text in found if text.startswith(incomplete)]
