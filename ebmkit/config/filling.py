"""The settings of one section: the given ones converted, the others by default, and what is refused."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ebmkit.config.layers import Value
from ebmkit.config.optimizers import settings_of
from ebmkit.config.sections import prefix
from ebmkit.config.settings import REQUIRED, Setting, Signature
from ebmkit.config.tables import toml
from ebmkit.errors import UsageError, nearest
from ebmkit.registry.component import Component
from ebmkit.registry.lookup import get_registry

# The values of one section, and the origin of each.
Filled = tuple[dict[str, Any], dict[str, str]]


def filled(
    section: str,
    values: Mapping[str, Value],
    asked: Signature,
    component: Component | None,
    *,
    complete: bool = True,
) -> Filled:
    """The settings of a section: given values converted, the rest by default.

    Raises:
        UsageError: for an unknown setting, a value of another type, or, if the section must be complete, a setting
            without a default that is not given.
    """
    found: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in values.items():
        if key not in asked.settings:
            raise UsageError(f"{prefix(value)}{unknown(section, key, asked, component)}")
    for key, setting in asked.settings.items():
        given = values.get(key)
        if given is not None:
            try:
                found[key], origins[key] = setting.convert(given.value, given.text), given.origin
            except UsageError as error:
                raise UsageError(f"{prefix(given)}{section}.{error}") from None
        elif setting.default is not REQUIRED:
            with suppress(TypeError, ValueError):  # a default that TOML cannot express is left to the component
                found[key], origins[key] = written(setting), "default"
        elif complete:
            owner = f"{component.kind} '{component.name}'" if component else section
            help_text = f" ({setting.help.rstrip('.')})" if setting.help else ""
            raise UsageError(f"{owner} needs {section}.{key}{help_text}: -s {section}.{key}={setting.type.upper()}")
    return found, origins


def written(setting: Setting) -> Any:
    """The setting's default as it is read back from `config.toml`, so that a run and its repetition get the same.

    Raises:
        TypeError: if TOML cannot express it.
        ValueError: if it cannot be read back.
    """
    return setting.convert(tomllib.loads(f"value = {toml(setting.default)}")["value"])


def unknown(section: str, key: str, asked: Signature, component: Component | None) -> str:
    """The message about an unknown setting: which component has it, or the nearest name."""
    has = ", ".join(f"{setting.name}={shown(setting.default)}" for setting in asked.settings.values()) or "no settings"
    if component is None:
        return f"{section} has no setting '{key}'.{nearest(key, asked.settings)} It has: {has}"
    message = f"{section} has no setting '{key}' (selected: {component.name})."
    parts = get_registry().of_kind(component.kind) if component.kind not in ("optimizer", "watcher") else []
    owners = [repr(one.name) for one in parts if key in readable(one)]
    hint = f" '{key}' belongs to {section} {', '.join(owners)}." if owners else nearest(key, asked.settings)
    return f"{message}{hint} It has: {has}"


def readable(component: Component) -> dict[str, Setting]:
    """A component's settings, for a hint; empty if its signature cannot be read."""
    try:
        return settings_of(component).settings
    except UsageError:
        return {}


def shown(default: Any) -> str:
    """A default as users see it."""
    return "(required)" if default is REQUIRED else "none" if default is None else str(default)
