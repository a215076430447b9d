"""Layers of values against the signatures of the chosen components: a complete, checked recipe for a run."""

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ebmkit.config.convert import convert
from ebmkit.config.layers import PARTS, Layer, Value, typed
from ebmkit.config.optimizers import find_optimizer, settings_of
from ebmkit.config.recipe import Recipe
from ebmkit.config.settings import REQUIRED, Setting, Signature, signature
from ebmkit.config.toml import toml
from ebmkit.config.train_settings import TrainSettings
from ebmkit.errors import UsageError, nearest
from ebmkit.registry.component import Component
from ebmkit.registry.lookup import get_registry

DEFAULTS = {"energy": "convnet", "sampler": "langevin", "init": "uniform", "data": "digits", "optimizer": "adam"}
WATCHERS = ("divergence", "metrics", "pictures", "checkpoints")  # every run has these, in this order

# The values of one section, and where each came from.
Filled = tuple[dict[str, Any], dict[str, str]]


def resolve(layers: list[Layer], needed: tuple[str, ...] = PARTS) -> Recipe:
    """Merge layers, later ones winning, and complete them by the defaults of the components.

    Args:
        layers: Preset, file and command line, in this order.
        needed: The parts to resolve. Watchers are left out unless all are: a model needs no data set, no optimiser and
            no watcher, and the packages that brought these may be missing.

    Raises:
        UsageError: for anything unknown or ill-typed, with the nearest match and, for files, the line.
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


def resolve_part(kind: str, name: str, pairs: Iterable[str]) -> tuple[Component, dict[str, Any]]:
    """One part by its name, with settings as `-s` takes them and the rest by default.

    Raises:
        UsageError: for an unknown name or setting, or one that is missing.
    """
    component = get_registry().find(kind, name)
    values = typed(pairs, (kind,)).sections.get(kind, {})
    settings, _ = filled(kind, values, settings_of(component, kind), component)
    return component, settings


def chosen(layers: list[Layer], section: str) -> Value:
    """The name of the section's component, with the place where it was asked for."""
    for layer in reversed(layers):
        if "use" in layer.sections.get(section, {}):
            value = layer.sections[section]["use"]
            return Value(named(section, value), value.origin, value.text)
    return Value(DEFAULTS[section], "default", "")


def named(section: str, value: Value) -> str:
    """The name that a value of `use` gives: a string, or whatever was typed."""
    try:
        return str(convert(value.value, str, value.text))
    except ValueError:
        message = f"{section}.use must be the name of a component, not {value.value!r}"
        raise UsageError(f"{value.origin}: {message}") from None


def find(kind: str, name: str, asked: Value) -> Component:
    """The component of that name; the error says where a file asked for it."""
    try:
        return find_optimizer(name) if kind == "optimizer" else get_registry().find(kind, name)
    except UsageError as error:
        raise UsageError(f"{prefix(asked)}{error}") from error


def asked_by(layers: list[Layer]) -> dict[str, Setting]:
    """Every setting that these layers' components have, by its path, `section.key`."""
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
    """The first value in a section, whose place stands for the section's."""
    values = [value for layer in layers for value in layer.sections.get(section, {}).values()]
    return values[0] if values else Value("", section, "")


def merged(layers: list[Layer], section: str, notes: list[str]) -> dict[str, Value]:
    """The section's values, later layers winning. Values that were meant for another component are dropped, aloud."""
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
    """The settings of a section: given ones checked and converted, the rest by default.

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
            with suppress(TypeError, ValueError):  # a default that TOML cannot say is left to the component
                found[key], origins[key] = written(setting), "default"
    return found, origins


def written(setting: Setting) -> Any:
    """The setting's default as it reads when it was written down, so that a run and its repetition are given the same.

    Raises:
        TypeError: if TOML cannot say it.
        ValueError: if it does not read back.
    """
    return setting.convert(tomllib.loads(f"value = {toml(setting.default)}")["value"])


def prefix(value: Value) -> str:
    """The file and line of a value that came from a file; a typed one needs none."""
    return f"{value.origin}: " if value.text is None else ""


def unknown(section: str, key: str, asked: Signature, component: Component | None) -> str:
    """Why a setting is unknown: whose it is, or what is near."""
    has = ", ".join(f"{setting.name}={shown(setting.default)}" for setting in asked.settings.values()) or "no settings"
    if component is None:
        return f"{section} has no setting '{key}'.{nearest(key, asked.settings)} It has: {has}"
    message = f"{section} has no setting '{key}' (selected: {component.name})."
    parts = get_registry().of_kind(section) if section in PARTS else []
    owners = [repr(one.name) for one in parts if key in readable(one, section)]
    hint = f" '{key}' belongs to {section} {' and '.join(owners)}." if owners else nearest(key, asked.settings)
    return f"{message}{hint} It has: {has}"


def readable(component: Component, section: str) -> dict[str, Setting]:
    """A component's settings for a hint: none where it cannot be read, which is not this error's subject."""
    try:
        return settings_of(component, section).settings
    except UsageError:
        return {}


def shown(default: Any) -> str:
    """A default as users read it."""
    return "(required)" if default is REQUIRED else "none" if default is None else str(default)
