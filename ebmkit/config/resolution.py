"""Layers of settings, checked against the signatures of the chosen components: the recipe of a run."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ebmkit.config.conversion import convert
from ebmkit.config.filling import filled
from ebmkit.config.layers import Layer, Value
from ebmkit.config.optimizers import settings_of
from ebmkit.config.recipe import Recipe
from ebmkit.config.sections import (
    DATA,
    METHOD,
    find,
    in_role,
    refuse_unknown,
    roles_of,
    train_signature,
    unused,
)
from ebmkit.config.settings import Setting, Signature
from ebmkit.errors import UsageError
from ebmkit.methods.roles import Role
from ebmkit.registry.component import Component
from ebmkit.registry.lookup import get_registry

WATCHERS = ("divergence", "metrics", "pictures", "checkpoints")  # those of every run, in this order


def resolve(
    layers: list[Layer], needed: Literal["run", "model", "data", "preset"] = "run", *, method: Component | None = None
) -> Recipe:
    """Merge layers and add the defaults of the components; later layers win.

    Args:
        layers: Preset, file and command line, in this order.
        needed: What to resolve. A model needs no data set and no watcher, and the packages that these came with may be
            missing; to open the data, only their section is needed. A preset may leave open what has no default.
        method: A method to use instead of the one that the layers choose by name.

    Raises:
        UsageError: for an unknown name, or a value of another type, with the nearest match and, for files, the line.
    """
    parts: dict[str, Component] = {}
    sections: dict[str, dict[str, Any]] = {}
    origins: dict[tuple[str, str], str] = {}
    notes: list[str] = []

    def fill(section: str, given: Mapping[str, Value], asked: Signature, component: Component | None) -> None:
        values, found = filled(section, given, asked, component, complete=needed != "preset")
        sections.setdefault(section, {}).update(values)
        origins.update({(section, key): origin for key, origin in found.items()})
        if component is not None:
            parts[section] = component

    name = chosen(layers, "method", METHOD)
    method = method or find("method", name.value, name)
    roles = {"data": DATA} if needed == "data" else roles_of(method)
    if needed != "data":
        layers = [*fitted(layers, roles, method, notes)]
        refuse_unknown(layers, roles, method)
    for section, one in roles.items():
        if section == "data" and needed == "model":
            continue
        name = chosen(layers, section, one)
        component = method if section == "method" else in_role(find(one.kind, name.value, name), one)
        sections[section] = {"use": name.value}
        origins[section, "use"] = name.origin
        fill(section, merged(layers, section, notes, one), settings_of(component), component)
    fill("train", merged(layers, "train", notes), train_signature(method), None)
    for watcher in watchers(layers) if needed in ("run", "preset") else ():
        section = f"watch.{watcher}"
        component = find("watcher", watcher, first(layers, section))
        fill(section, merged(layers, section, notes), settings_of(component), component)
    return Recipe(parts, sections, origins, tuple(notes))


def fitted(layers: list[Layer], roles: Mapping[str, Role], method: Component, notes: list[str]) -> Iterator[Layer]:
    """The layers without what those below the choice of the method say of others; each gets a line in `notes`.

    A preset may set a section that another method does not have. The layer that chooses the method, and those above
    it, are taken as they are.
    """
    choosing = [index for index, layer in enumerate(layers) if "use" in layer.sections.get("method", {})]
    for index, layer in enumerate(layers):
        if not choosing or index >= choosing[-1]:
            yield layer
            continue
        kept = {
            section: values
            for section, values in layer.sections.items()
            if section in (*roles, "train") or section.startswith("watch.")
        }
        train = kept.get("train", {})
        dropped = [section for section in layer.sections if section not in kept]
        dropped += [f"train.{key}" for key in unused(train, method)]
        if dropped:
            notes.append(f"the method is now '{method.name}', which does not use: {', '.join(dropped)} of {layer.name}")
            known = {key: value for key, value in train.items() if f"train.{key}" not in dropped}
            kept |= {"train": known} if train else {}
        yield Layer(layer.name, kept, layer.places)


def resolve_part(kind: str, name: str, layer: Layer) -> tuple[Component, dict[str, Any]]:
    """One part by its name, with the settings that a layer has in the section `kind` and the rest by default.

    Raises:
        UsageError: for an unknown name, an unknown setting, or one without a default that is not given.
    """
    component = get_registry().find(kind, name)
    settings, _ = filled(kind, layer.sections.get(kind, {}), settings_of(component), component)
    return component, settings


def chosen(layers: list[Layer], section: str, one: Role) -> Value:
    """The name of the section's component, with its origin; that of the role if no layer chooses."""
    for layer in reversed(layers):
        if "use" in layer.sections.get(section, {}):
            value = layer.sections[section]["use"]
            return Value(named(section, value), value.origin, value.text)
    return Value(one.use, "default", "")


def named(section: str, value: Value) -> str:
    """The name in a value of `use`: a string, or the text that was typed."""
    try:
        return str(convert(value.value, str, value.text))
    except ValueError:
        message = f"{section}.use must be the name of a component, not {value.value!r}"
        raise UsageError(f"{value.origin}: {message}") from None


def asked_by(layers: list[Layer]) -> dict[str, Setting]:
    """Every setting of the components that these layers choose, by its path, `section.key`."""
    unnamed = Value("", "", "")
    method = find("method", chosen(layers, "method", METHOD).value, unnamed)
    asked = {"train": train_signature(method)}
    for section, one in roles_of(method).items():
        component = find(one.kind, chosen(layers, section, one).value, unnamed)
        asked[section] = settings_of(in_role(component, one))
    for name in watchers(layers):
        asked[f"watch.{name}"] = settings_of(get_registry().find("watcher", name))
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


def merged(layers: list[Layer], section: str, notes: list[str], one: Role | None = None) -> dict[str, Value]:
    """The section's values; later layers win. `one` is its role, where its component can be chosen.

    When a layer chooses another component, the values that earlier layers set for the former one are dropped, and a
    line is added to `notes`.
    """
    values: dict[str, Value] = {}
    current = None if one is None else one.use
    for layer in layers:
        own = dict(layer.sections.get(section, {}))
        name = own.pop("use", None) if one is not None else None
        if name is not None and (use := named(section, name)) != current:
            if values:
                notes.append(f"{section} is now '{use}': dropped what was set for '{current}' ({', '.join(values)})")
            values, current = {}, use
        values |= own
    return values
