"""The text of a TOML file in any usual encoding, the table in it, and the line where a setting is written."""

import codecs
import re
import tomllib
from pathlib import Path
from typing import Any

from ebmkit.errors import UsageError, nearest

# Marks at the beginning of a file, the longer first: that of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

LONGEST = 2**20  # letters: the longest settings that are read


def text_of(path: Path) -> str:
    """The text of a file of settings.

    Raises:
        UsageError: if it cannot be read, with the nearest name.
    """
    try:
        with path.open("rb") as file:
            content = file.read(4 * LONGEST + 1)  # a letter of UTF-32 has four bytes
    except OSError as error:
        near = nearest(path.name, [one.name for one in path.parent.glob("*")] if path.parent.is_dir() else [])
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise UsageError(f"cannot read configuration {path}: {reason}.{near}") from None
    return decoded(content, path)


def decoded(content: bytes, path: Path) -> str:
    """The text of a file: UTF-8 as TOML requires, or UTF-16 as editors on Windows write it, with or without a mark.

    Raises:
        UsageError: if it is neither, with the line and the byte.
    """
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and 0 in content[:2] and len(content) % 2 == 0:  # the zero of an ASCII letter
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    try:
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(
            f"cannot read configuration {path}: it is not {encoding.removesuffix('-sig').upper()} (byte "
            f"0x{content[error.start]:02x} in line {line}); save it as UTF-8"
        ) from None


def table_of(text: str, name: str) -> dict[str, Any]:
    """The table of a TOML text; `name` is its name in errors.

    Raises:
        UsageError: if it is not TOML, or longer than `LONGEST`.
    """
    if len(text) > LONGEST:
        raise UsageError(f"{name} has more than {LONGEST:,} letters, so it is not a file of settings")
    try:
        return showable(tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # also for digits and brackets by the thousand
        raise UsageError(f"{name} is not valid TOML: {error}{zero_missing(text, str(error))}") from None


def showable(table: dict[str, Any]) -> dict[str, Any]:
    """The same table, if an error can quote it: numbers of thousands of digits and tables nested as deep have no text.

    Raises:
        ValueError: for such a number.
        RecursionError: for such a table.
    """
    repr(table)
    return table


def zero_missing(text: str, message: str) -> str:
    """A hint for a number like `.5` or `3.` in the line that an error of tomllib names; empty otherwise."""
    place = re.search(r"at line (\d+)", message)
    lines = text.splitlines()
    line = lines[int(place[1]) - 1] if place and int(place[1]) <= len(lines) else ""
    return "; TOML writes 0.5 and 3.0, not .5 and 3." if re.search(r"[=\[,\s+-](\.\d|\d+\.(?!\d))", line) else ""


def line_of(text: str, section: str, key: str = "") -> int:
    """The line of a section, or of a key in it; 1 if it is written in a way that is not recognised."""
    inside = not section
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
        if header:
            inside = header.group(1).replace(" ", "").replace('"', "") == section
        if inside and (not key or re.match(rf'\s*"?{re.escape(key)}"?\s*=', line)):
            return number
    return 1
