"""The files in a folder and its subfolders, through links, and which of them are images."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ebmkit.data.decoding import formats
from ebmkit.errors import listed, one_line

# What systems and programs leave in folders; names that begin with a dot are hidden too.
HIDDEN = ("thumbs.db", "desktop.ini", "__macosx")


class Entry(NamedTuple):
    """A file in a folder, or a folder that cannot be read.

    Attributes:
        name: Its path from the folder.
        problem: Why it is not a file that can be read, to follow a count; empty for a file.
        unreadable: For a folder, why it cannot be read.
    """

    name: Path
    problem: str = ""
    unreadable: str = ""


def suffixes() -> frozenset[str]:
    """The endings of the image files that can be read, in lower case: those of the formats that Pillow decodes."""
    from PIL import Image

    known = Image.registered_extensions().items()
    return frozenset(ending for ending, name in known if name in formats()) | {".mpo"}


def walk(root: Path, name: Path = Path(), above: tuple[tuple[int, int], ...] = ()) -> Iterator[Entry]:
    """Every file in a folder and its subfolders, in the order of their names; hidden ones are skipped.

    Links are followed; one that leads back to a folder above it is not, as its files are found there.

    Args:
        root: The folder.
        name: The path of a subfolder, from the folder.
        above: The device and inode of each folder above that one.
    """
    try:
        status = os.stat(root / name)
        with os.scandir(root / name) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield Entry(name, unreadable=error.strerror or one_line(error))
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in HIDDEN:
            continue
        if os.path.isdir(entry):
            yield from walk(root, name / entry.name, (*above, here))
        elif os.path.isfile(entry):
            yield Entry(name / entry.name)
        else:
            dead = not os.path.exists(entry)
            yield Entry(name / entry.name, "linking to nothing" if dead else "of another type than a file")


def reasons(left_out: Iterable[Entry]) -> str:
    """Why files are left out, counted: "6 ending in .txt, 1 linking to nothing"."""
    counts = Counter(entry.problem or _ending(entry.name) for entry in left_out)
    return listed(f"{count} {reason}" for reason, count in counts.most_common())


def _ending(name: Path) -> str:
    """How the name of a file ends, to follow a count."""
    return f"ending in {name.suffix.lower()}" if name.suffix else "without an ending"
