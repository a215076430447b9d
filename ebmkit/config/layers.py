"""Layers of settings: from TOML files, presets, tables and the command line.

A layer is `{section: {key: value}}`. A watcher's section is `watch.NAME`. Later layers win:
defaults, preset, configuration file, command line.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebmkit.config.conversion import parse
from ebmkit.config.toml_text import line_of, table_of, text_of
from ebmkit.errors import UsageError, nearest
from ebmkit.registry.lookup import get_registry
from ebmkit.registry.presets import Preset

FIXED = ("method", "data", "train", "watch", "features", "study")  # sections that are no roles of a method


@dataclass(frozen=True)
class Value:
    """A value, where it came from, and its text if it came from the command line."""

    value: Any
    origin: str
    text: str | None = None


@dataclass
class Layer:
    """Values from one place: `sections[section][key]`; `places` says where each section was given."""

    name: str
    sections: dict[str, dict[str, Value]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def put(self, section: str, key: str, value: Value) -> None:
        """Set one value."""
        self.sections.setdefault(section, {})[key] = value


def typed(pairs: Iterable[str], sections: tuple[str, ...] | None = None) -> Layer:
    """The layer of texts `section.key=value`, as after `-s`, in any of `sections`.

    None is any section: which sections a run has depends on its method, and is checked with all layers.

    Raises:
        UsageError: for a text of another form, a section that is not one of `sections`, or a key given twice.
    """
    layer = Layer("command line")
    for pair in pairs:
        path, equals, text = (part.strip() for part in pair.partition("="))
        section, dot, key = path.rpartition(".")
        if not (equals and dot and key and section):
            raise UsageError(f"-s takes section.key=value, like -s sampler.step_size=0.1, not {pair!r}")
        check_section(section, f"-s {pair}", sections)
        if key in layer.sections.get(section, {}):
            raise UsageError(f"{path} is given twice on the command line")
        layer.put(section, key, Value(parse(text), f"-s {path}", text))
        layer.places.setdefault(section, f"-s {pair}")
    return layer


def check_section(section: str, where: str, sections: tuple[str, ...] | None = None) -> None:
    """Refuse a section that does not exist, or a name that cannot be one.

    Args:
        section: Its name.
        where: Where it was given, for the beginning of the error.
        sections: The sections that exist; None if that is not known yet.

    Raises:
        UsageError: with the nearest name.
    """
    head, dot, name = section.partition(".")
    if sections is not None and head not in sections:
        raise UsageError(f"{where}: unknown section '{head}'.{nearest(head, sections)} Sections: {', '.join(sections)}")
    if head == "watch" and not name:
        raise UsageError(f"{where}: settings of a watcher are written watch.NAME.key, like watch.pictures.every=100")
    if head != "watch" and dot:
        raise UsageError(f"{where}: settings are written section.key, like {head}.{name.partition('.')[0]}")


def read(path: Path, name: str | None = None) -> Layer:
    """The layer of a TOML file.

    Raises:
        UsageError: if it cannot be read, is not TOML, or is not a table of sections; with the line.
    """
    return loads(text_of(path), name or str(path))


def loads(text: str, name: str) -> Layer:
    """The layer of a TOML text; `name` is its name in errors and origins.

    Raises:
        UsageError: if it is not TOML, or not a table of sections.
    """
    return layer_of(table_of(text, name), name, lambda section, key: f"{name}:{line_of(text, section, key)}")


def layer_of(table: Mapping[str, Any], name: str, place: Callable[[str, str], str] | None = None) -> Layer:
    """The layer of a table of sections, like `{"sampler": {"steps": 20}, "watch": {"pictures": {"every": 0}}}`.

    Args:
        table: The sections.
        name: The name of the table in errors.
        place: The origin of a section's key; by default the name of the table.

    Raises:
        UsageError: if it is not a table of sections.
    """
    where = place or (lambda section, key: name)
    watchers = table.get("watch", {})
    if not isinstance(watchers, Mapping):
        raise UsageError(f"{where('', 'watch')}: watch takes sections, like [watch.pictures]")
    sections = {key: values for key, values in table.items() if key != "watch"}
    layer = Layer(name)
    for section, values in {**sections, **{f"watch.{key}": values for key, values in watchers.items()}}.items():
        if not isinstance(values, Mapping):
            parent, _, key = section.rpartition(".")
            raise UsageError(
                f"{where(parent, key)}: '{section}' stands outside a section; write it under one, like [sampler]"
            )
        check_section(section, where(section, ""))
        layer.sections[section] = {}
        layer.places[section] = where(section, "")
        for key, value in values.items():
            layer.put(section, key, Value(value, where(section, key)))
    return layer


def presets() -> dict[str, Preset]:
    """The presets of ebmkit, then those of plug-ins, by every name that `preset` accepts."""
    registry = get_registry()
    return {name: registry.preset(name) for name in registry.names(Preset.kind)}


def preset(name: str) -> Layer:
    """The layer of a preset.

    Raises:
        UsageError: for an unknown name, with the nearest, or a file that is not a table of sections.
    """
    return loads(get_registry().preset(name).text(), f"preset {name}")
