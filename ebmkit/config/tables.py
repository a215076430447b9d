"""Tables as TOML."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ebmkit.config.conversion import NONE


def dumps(sections: Mapping[str, Mapping[str, Any]], comments: Mapping[tuple[str, str], str] | None = None) -> str:
    """Tables as TOML that `loads` reads back to the same values.

    Args:
        sections: The values by section and key. Sections are not nested: that of a watcher is called `watch.NAME`.
        comments: Comments by section and key, written after the values.

    Raises:
        TypeError: for a value that TOML cannot express.
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
    """A comment without the characters that TOML forbids in one, as names of files may contain."""
    return "".join(letter if letter.isprintable() else "?" for letter in comment)


def bare(key: str) -> str:
    """A key as TOML, quoted if it must be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml(key)


def toml(value: Any) -> str:
    """One value as TOML; None, which TOML does not have, becomes the word `none`.

    Raises:
        TypeError: for a value that TOML cannot express.
    """
    if value is None:
        return toml(NONE)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):  # NumPy's float64 too, whose own notation is not TOML
        return float.__repr__(value)
    if isinstance(value, Path):
        return toml(str(value))
    if isinstance(value, str):
        # A string of JSON is one of TOML, except for the one control character that JSON does not escape.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    raise TypeError(f"no TOML for {value!r}")
