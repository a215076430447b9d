"""Links in a folder that somebody may have sent: nothing is written through one that leads out of the folder."""

import os
from pathlib import Path

from ebmkit.errors import UsageError


def refuse_link_out(entry: Path) -> None:
    """Refuse an entry of a folder that is a link to something outside of that folder.

    Raises:
        UsageError: naming the link and where it leads.
    """
    try:
        leaves = entry.is_symlink() and not is_inside(entry, entry.parent)
    except OSError as error:
        raise UsageError(f"cannot use {entry}: {error.strerror}") from None
    if leaves:
        raise UsageError(
            f"{entry} is a link to {os.path.realpath(entry)}, outside of its folder: nothing is written through it; "
            "put a copy in its place"
        )


def refuse_links_out(folder: Path) -> None:
    """Refuse a folder in which an entry is a link to something outside of it.

    Raises:
        UsageError: naming the link and where it leads.
    """
    for entry in folder.iterdir() if folder.is_dir() else ():
        refuse_link_out(entry)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, with all links followed, is in a folder."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
