"""Layers of values against the signatures of the chosen components: a complete, checked recipe for a run."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ebmkit.components import BUILT_IN, Component
from ebmkit.config import PARTS, Layer, Value, dumps, toml
from ebmkit.errors import UsageError, nearest
from ebmkit.loop import Train
from ebmkit.registry import registry
from ebmkit.settings import REQUIRED, Setting, Signature, convert, signature

DEFAULTS = {"energy": "convnet", "sampler": "langevin", "init": "uniform", "data": "digits", "optimizer": "adam"}
WATCHERS = ("divergence", "metrics", "pictures", "checkpoints")  # every run has these, in this order
INTERNAL = (
    "capturable",
    "differentiable",
    "foreach",
    "fused",
    "maximize",
)  # torch's optimisers have these for other uses

Sections = dict[str, dict[str, Any]]


@dataclass
class Recipe:
    """Every part and every setting of a run.

    Attributes:
        parts: The chosen component of each section.
        sections: Every setting's value by section, converted, defaults included; parts have `use` first.
        origins: Where each value came from.
        notes: What was dropped on the way, a line each.
    """

    parts: dict[str, Component] = field(default_factory=dict)
    sections: Sections = field(default_factory=dict)
    origins: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def settings(self, section: str) -> dict[str, Any]:
        """The section's settings, without the name of its component."""
        return {key: value for key, value in self.sections[section].items() if key != "use"}

    def toml(self, with_origins: bool = False) -> str:
        """The recipe as TOML, which is itself a legal configuration."""
        return dumps(self.sections, self.origins if with_origins else None)


def resolve(layers: list[Layer]) -> Recipe:
    """Merge layers, later ones winning, and complete them by the components' defaults.

    Args:
        layers: Preset, file and command line, in this order.

    Raises:
        UsageError: for anything unknown or ill-typed, with the nearest match and, for files, the line.
    """
    recipe = Recipe()
    for section in PARTS:
        name = chosen(layers, section)
        component = find(section, name.value, name)
        recipe.parts[section] = component
        recipe.sections[section] = {"use": name.value}
        recipe.origins[section, "use"] = name.origin
        fill(recipe, section, merged(layers, section, recipe.notes), read(component, section), component)
    fill(recipe, "train", merged(layers, "train", recipe.notes), signature(Train), None)
    for watcher in watchers(layers):
        section = f"watch.{watcher}"
        component = find("watcher", watcher, first(layers, section))
        recipe.parts[section] = component
        fill(recipe, section, merged(layers, section, recipe.notes), read(component, section), component)
    return recipe


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
        return optimizer(name) if kind == "optimizer" else registry().find(kind, name)
    except UsageError as error:
        raise UsageError(f"{prefix(asked)}{error}") from error


def asked_by(layers: list[Layer]) -> dict[str, Setting]:
    """Every setting that these layers' components have, by its path, `section.key`."""
    asked = {"train": signature(Train)}
    asked |= {part: read(find(part, chosen(layers, part).value, Value("", "", "")), part) for part in PARTS}
    for name in watchers(layers):
        asked[f"watch.{name}"] = read(registry().find("watcher", name), "watch")
    return {f"{section}.{key}": setting for section, one in asked.items() for key, setting in one.settings.items()}


def optimizer(name: str) -> Component:
    """An optimiser of torch, by its name in any case; `adam` has a learning rate of our own, 1e-3.

    Raises:
        UsageError: for a name that torch has not, or one that cannot follow a stochastic gradient step by step.
    """
    import torch

    kinds = {
        key.lower(): value
        for key, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    }
    unfit = {"lbfgs", "sparseadam"}
    names = sorted(set(kinds) - unfit)
    if name.lower() not in names:
        raise UsageError(f"unknown optimizer '{name}'.{nearest(name.lower(), names)} Installed: {', '.join(names)}.")
    return Component("optimizer", name.lower(), kinds[name.lower()], BUILT_IN)


def read(component: Component, section: str) -> Signature:
    """The signature of a component; torch's optimisers take settings by position."""
    target = component.load()
    try:
        found = signature(target, facts=("params",) if section == "optimizer" else None)
        if "use" in found.settings:
            raise ValueError("a setting cannot be called 'use', which names the component")
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{component.kind} '{component.name}' of {component.plugin} cannot be used: {error}"
        ) from error
    if section == "optimizer":
        for internal in INTERNAL:
            found.settings.pop(internal, None)
    if component.name == "adam" and section == "optimizer":
        found.settings["lr"] = Setting("lr", float, 1e-3, "Learning rate; the paper has 1e-4 and 200,000 updates.")
    return found


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


def fill(
    recipe: Recipe, section: str, values: Mapping[str, Value], asked: Signature, component: Component | None
) -> None:
    """Put the section's settings into the recipe: given ones checked and converted, the rest by default."""
    chosen_values = recipe.sections.setdefault(section, {})
    for key, value in values.items():
        if key not in asked.settings:
            raise UsageError(f"{prefix(value)}{unknown(section, key, asked, component)}")
    for key, setting in asked.settings.items():
        given = values.get(key)
        if given is not None:
            try:
                converted = setting.convert(given.value, given.text)
            except UsageError as error:
                raise UsageError(f"{prefix(given)}{section}.{error}") from None
            chosen_values[key], recipe.origins[section, key] = converted, given.origin
        elif setting.default is REQUIRED:
            owner = f"{component.kind} '{component.name}'" if component else section
            help_text = f" ({setting.help.rstrip('.')})" if setting.help else ""
            raise UsageError(f"{owner} needs {section}.{key}{help_text}: -s {section}.{key}={setting.type.upper()}")
        else:
            with suppress(TypeError, ValueError):  # what cannot be written down stays the component's own
                chosen_values[key], recipe.origins[section, key] = written(setting), "default"


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
    parts = registry().of_kind(section) if section in PARTS else []
    owners = [repr(one.name) for one in parts if key in readable(one, section)]
    hint = f" '{key}' belongs to {section} {' and '.join(owners)}." if owners else nearest(key, asked.settings)
    return f"{message}{hint} It has: {has}"


def readable(component: Component, section: str) -> dict[str, Setting]:
    """A component's settings for a hint: none where it cannot be read, which is not this error's subject."""
    try:
        return read(component, section).settings
    except UsageError:
        return {}


def shown(default: Any) -> str:
    """A default as users read it."""
    return "(required)" if default is REQUIRED else "none" if default is None else str(default)
