"""Tables as TOML."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ebmkit.config.convert import NONE


def dumps(sections: Mapping[str, Mapping[str, Any]], comments: Mapping[tuple[str, str], str] | None = None) -> str:
    """Tables as TOML that `loads` reads back to the same values; comments stand behind the values they are of.

    Sections must not be nested: that of a watcher is called `watch.NAME`.
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
    if isinstance(value, Path):
        return toml(str(value))
    if isinstance(value, str):
        # JSON's strings are TOML's, but for the one control character that JSON leaves alone.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    raise TypeError(f"no TOML for {value!r}")
