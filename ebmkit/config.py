"""Settings as tables: TOML in, TOML out; typed pairs; presets; and which layer wins.

A table is `{section: {key: value}}`. A watcher's section is `watch.NAME`. Later layers win:
defaults, preset, configuration file, command line.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from ebmkit.errors import UsageError, nearest
from ebmkit.settings import NONE, parse

PARTS = ("energy", "sampler", "init", "data", "optimizer")
SECTIONS = (*PARTS, "train", "watch")


@dataclass(frozen=True)
class Value:
    """A value, where it came from, and what was typed, where it was typed."""

    value: Any
    origin: str
    text: str | None = None


@dataclass
class Layer:
    """Values from one place: `sections[section][key]`."""

    name: str
    sections: dict[str, dict[str, Value]] = field(default_factory=dict)

    def put(self, section: str, key: str, value: Value) -> None:
        """Set one value."""
        self.sections.setdefault(section, {})[key] = value


def typed(pairs: Iterable[str], sections: tuple[str, ...] = SECTIONS) -> Layer:
    """The layer of `section.key=value` texts, as `-s` takes them, in any of `sections`.

    Raises:
        UsageError: for a text of another form, an unknown section, or a key given twice.
    """
    layer = Layer("command line")
    for pair in pairs:
        path, equals, text = (part.strip() for part in pair.partition("="))
        section, dot, key = path.rpartition(".")
        if not (equals and dot and key):
            raise UsageError(f"-s takes section.key=value, like -s sampler.step_size=0.1, not {pair!r}")
        check_section(section, f"-s {pair}", sections)
        if key in layer.sections.get(section, {}):
            raise UsageError(f"{path} is given twice on the command line")
        layer.put(section, key, Value(parse(text), f"-s {path}", text))
    return layer


def check_section(section: str, where: str, sections: tuple[str, ...] = SECTIONS) -> None:
    """Refuse a section that does not exist."""
    head, dot, name = section.partition(".")
    if head not in sections:
        raise UsageError(f"{where}: unknown section '{head}'.{nearest(head, sections)} Sections: {', '.join(sections)}")
    if head == "watch" and not name:
        raise UsageError(f"{where}: a watcher's settings are spelt watch.NAME.setting, like watch.pictures.every=100")
    if head != "watch" and dot:
        raise UsageError(f"{where}: settings are spelt section.key, like {head}.{name.partition('.')[0]}")


def read(path: Path, name: str | None = None) -> Layer:
    """The layer of a TOML file.

    Raises:
        UsageError: if it is missing, is not TOML, or has another shape; with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = nearest(path.name, [one.name for one in path.parent.glob("*")] if path.parent.is_dir() else [])
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise UsageError(f"cannot read configuration {path}: {reason}.{near}") from None
    return loads(text, name or str(path))


def loads(text: str, name: str) -> Layer:
    """The layer of a TOML text; `name` stands in errors and as the origin of its values."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for digits and brackets by the thousand
        raise UsageError(f"{name} is not valid TOML: {error}") from None
    watchers = table.pop("watch", {})
    if not isinstance(watchers, dict):
        raise UsageError(f"{name}:{line_of(text, '', 'watch')}: watch takes sections, like [watch.pictures]")
    layer = Layer(name)
    for section, values in [*table.items(), *((f"watch.{key}", value) for key, value in watchers.items())]:
        where = f"{name}:{line_of(text, section)}"
        if not isinstance(values, dict):
            where = f"{name}:{line_of(text, *section.rpartition('.')[::2])}"
            raise UsageError(f"{where}: '{section}' stands outside a section; write it under one, like [sampler]")
        check_section(section, where)
        layer.sections[section] = {}
        for key, value in values.items():
            layer.put(section, key, Value(value, f"{name}:{line_of(text, section, key)}"))
    return layer


def line_of(text: str, section: str, key: str = "") -> int:
    """The line where a section, or a key in it, stands; 1 where it is written in some rarer way."""
    inside = not section
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
        if header:
            inside = header.group(1).replace(" ", "").replace('"', "") == section
        if inside and (not key or re.match(rf'\s*"?{re.escape(key)}"?\s*=', line)):
            return number
    return 1


def presets() -> dict[str, str]:
    """The packaged presets: TOML texts by name."""
    folder = files("ebmkit") / "presets"
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def preset(name: str) -> Layer:
    """The layer of a packaged preset.

    Raises:
        UsageError: for an unknown name, with the nearest.
    """
    known = presets()
    if name not in known:
        raise UsageError(f"unknown preset '{name}'.{nearest(name, known)} Presets: {', '.join(known)}.")
    return loads(known[name], f"preset {name}")


def dumps(sections: Mapping[str, Mapping[str, Any]], comments: Mapping[tuple[str, str], str] | None = None) -> str:
    """Tables as TOML that `loads` reads back to the same values; comments stand behind the values they are of.

    Sections must not be nested: a watcher's is called `watch.NAME`.
    """
    lines = []
    for section, values in sections.items():
        lines.append(f"[{'.'.join(bare(part) for part in section.split('.', 1))}]")
        for key, value in values.items():
            comment = (comments or {}).get((section, key), "")
            lines.append(f"{bare(key)} = {toml(value)}" + (f"  # {printable(comment)}" if comment else ""))
        lines.append("")
    return "\n".join(lines)


def printable(comment: str) -> str:
    """A comment without what TOML forbids in one: the name of a file may hold line breaks."""
    return "".join(letter if letter.isprintable() else "?" for letter in comment)


def bare(key: str) -> str:
    """A key as TOML takes it: quoted where it must be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml(key)


def toml(value: Any) -> str:
    """One value in TOML's notation; None, which TOML has not, is the word `none`.

    Raises:
        TypeError: for what TOML cannot say.
    """
    if value is None:
        return toml(NONE)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):  # which NumPy's float64 is too, with a notation of its own
        return float.__repr__(value)
    if isinstance(value, str):
        # JSON's strings are TOML's, but for the one control character that JSON leaves alone.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    raise TypeError(f"no TOML for {value!r}")
