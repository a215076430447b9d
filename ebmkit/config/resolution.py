"""Layers of settings, checked against the signatures of the chosen components: the recipe of a run."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ebmkit.config.conversion import convert
from ebmkit.config.layers import PARTS, Layer, Value
from ebmkit.config.optimizers import find_optimizer, settings_of
from ebmkit.config.recipe import Recipe
from ebmkit.config.settings import REQUIRED, Setting, Signature, signature
from ebmkit.config.tables import toml
from ebmkit.config.train_settings import TrainSettings
from ebmkit.errors import UsageError, nearest
from ebmkit.registry.component import Component
from ebmkit.registry.lookup import get_registry

DEFAULTS = {"energy": "convnet", "sampler": "langevin", "init": "uniform", "data": "digits", "optimizer": "adam"}
WATCHERS = ("divergence", "metrics", "pictures", "checkpoints")  # those of every run, in this order

# The values of one section, and the origin of each.
Filled = tuple[dict[str, Any], dict[str, str]]


def resolve(layers: list[Layer], needed: tuple[str, ...] = PARTS) -> Recipe:
    """Merge layers and add the defaults of the components; later layers win.

    Args:
        layers: Preset, file and command line, in this order.
        needed: The parts to resolve; watchers are resolved only with all of them. A model needs no data set, optimiser
            or watcher, and the packages that these came with may be missing.

    Raises:
        UsageError: for an unknown name, or a value of another type, with the nearest match and, for files, the line.
    """
    parts: dict[str, Component] = {}
    sections: dict[str, dict[str, Any]] = {}
    origins: dict[tuple[str, str], str] = {}
    notes: list[str] = []

    def fill(section: str, asked: Signature, component: Component | None) -> None:
        values, found = filled(section, merged(layers, section, notes), asked, component)
        sections.setdefault(section, {}).update(values)
        origins.update({(section, key): origin for key, origin in found.items()})
        if component is not None:
            parts[section] = component

    for section in needed:
        name = chosen(layers, section)
        component = find(section, name.value, name)
        sections[section] = {"use": name.value}
        origins[section, "use"] = name.origin
        fill(section, settings_of(component, section), component)
    fill("train", signature(TrainSettings), None)
    for watcher in watchers(layers) if needed == PARTS else ():
        section = f"watch.{watcher}"
        component = find("watcher", watcher, first(layers, section))
        fill(section, settings_of(component, section), component)
    return Recipe(parts, sections, origins, tuple(notes))


def resolve_part(kind: str, name: str, layer: Layer) -> tuple[Component, dict[str, Any]]:
    """One part by its name, with the settings that a layer has in the section `kind` and the rest by default.

    Raises:
        UsageError: for an unknown name, an unknown setting, or one without a default that is not given.
    """
    component = get_registry().find(kind, name)
    settings, _ = filled(kind, layer.sections.get(kind, {}), settings_of(component, kind), component)
    return component, settings


def chosen(layers: list[Layer], section: str) -> Value:
    """The name of the section's component, with its origin."""
    for layer in reversed(layers):
        if "use" in layer.sections.get(section, {}):
            value = layer.sections[section]["use"]
            return Value(named(section, value), value.origin, value.text)
    return Value(DEFAULTS[section], "default", "")


def named(section: str, value: Value) -> str:
    """The name in a value of `use`: a string, or the text that was typed."""
    try:
        return str(convert(value.value, str, value.text))
    except ValueError:
        message = f"{section}.use must be the name of a component, not {value.value!r}"
        raise UsageError(f"{value.origin}: {message}") from None


def find(kind: str, name: str, asked: Value) -> Component:
    """The component of that name; the error names the line of the file that asked for it."""
    try:
        return find_optimizer(name) if kind == "optimizer" else get_registry().find(kind, name)
    except UsageError as error:
        raise UsageError(f"{prefix(asked)}{error}") from error


def asked_by(layers: list[Layer]) -> dict[str, Setting]:
    """Every setting of the components that these layers choose, by its path, `section.key`."""
    asked = {"train": signature(TrainSettings)}
    asked |= {part: settings_of(find(part, chosen(layers, part).value, Value("", "", "")), part) for part in PARTS}
    for name in watchers(layers):
        asked[f"watch.{name}"] = settings_of(get_registry().find("watcher", name), "watch")
    return {f"{section}.{key}": setting for section, one in asked.items() for key, setting in one.settings.items()}


def watchers(layers: list[Layer]) -> list[str]:
    """The watchers of the run: the built-in ones, then those that a layer names."""
    named = [
        section.partition(".")[2] for layer in layers for section in layer.sections if section.startswith("watch.")
    ]
    return list(dict.fromkeys([*WATCHERS, *named]))


def first(layers: list[Layer], section: str) -> Value:
    """The first value in a section, whose origin stands for that of the section."""
    values = [value for layer in layers for value in layer.sections.get(section, {}).values()]
    return values[0] if values else Value("", section, "")


def merged(layers: list[Layer], section: str, notes: list[str]) -> dict[str, Value]:
    """The section's values; later layers win.

    When a layer chooses another component, the values that earlier layers set for the former one are dropped, and a
    line is added to `notes`.
    """
    values: dict[str, Value] = {}
    current = DEFAULTS.get(section)
    for layer in layers:
        own = dict(layer.sections.get(section, {}))
        name = own.pop("use", None) if section in PARTS else None
        if name is not None and (use := named(section, name)) != current:
            if values:
                notes.append(f"{section} is now '{use}': dropped what was set for '{current}' ({', '.join(values)})")
            values, current = {}, use
        values |= own
    return values


def filled(section: str, values: Mapping[str, Value], asked: Signature, component: Component | None) -> Filled:
    """The settings of a section: given values converted, the rest by default.

    Raises:
        UsageError: for an unknown setting, a value of another type, or a setting without a default that is not given.
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
        elif setting.default is REQUIRED:
            owner = f"{component.kind} '{component.name}'" if component else section
            help_text = f" ({setting.help.rstrip('.')})" if setting.help else ""
            raise UsageError(f"{owner} needs {section}.{key}{help_text}: -s {section}.{key}={setting.type.upper()}")
        else:
            with suppress(TypeError, ValueError):  # a default that TOML cannot express is left to the component
                found[key], origins[key] = written(setting), "default"
    return found, origins


def written(setting: Setting) -> Any:
    """The setting's default as it is read back from `config.toml`, so that a run and its repetition get the same.

    Raises:
        TypeError: if TOML cannot express it.
        ValueError: if it cannot be read back.
    """
    return setting.convert(tomllib.loads(f"value = {toml(setting.default)}")["value"])


def prefix(value: Value) -> str:
    """The file and line of a value, for the beginning of an error; empty for a typed one."""
    return f"{value.origin}: " if value.text is None else ""


def unknown(section: str, key: str, asked: Signature, component: Component | None) -> str:
    """The message about an unknown setting: which component has it, or the nearest name."""
    has = ", ".join(f"{setting.name}={shown(setting.default)}" for setting in asked.settings.values()) or "no settings"
    if component is None:
        return f"{section} has no setting '{key}'.{nearest(key, asked.settings)} It has: {has}"
    message = f"{section} has no setting '{key}' (selected: {component.name})."
    parts = get_registry().of_kind(section) if section in PARTS else []
    owners = [repr(one.name) for one in parts if key in readable(one, section)]
    hint = f" '{key}' belongs to {section} {' and '.join(owners)}." if owners else nearest(key, asked.settings)
    return f"{message}{hint} It has: {has}"


def readable(component: Component, section: str) -> dict[str, Setting]:
    """A component's settings, for a hint; empty if its signature cannot be read."""
    try:
        return settings_of(component, section).settings
    except UsageError:
        return {}


def shown(default: Any) -> str:
    """A default as users see it."""
    return "(required)" if default is REQUIRED else "none" if default is None else str(default)
