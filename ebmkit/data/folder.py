"""Image files in a folder, each read when it is needed."""

import warnings
from pathlib import Path

import numpy as np

from ebmkit.data.encoded import ImageFiles
from ebmkit.data.images import Channels, Fit, check_fitting, selected
from ebmkit.data.paths import composed, existing
from ebmkit.data.signatures import kind_of
from ebmkit.data.walking import Entry, reasons, suffixes, walk
from ebmkit.errors import Notice, UsageError


def folder(
    *,
    path: Path,
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[str, ...] | None = None,
    limit: int | None = None,
) -> ImageFiles:
    """Your own image files in a folder and its subfolders, of any format that Pillow reads: png, jpg, webp, tif, ...

    Links to files and folders are followed. Hidden files are skipped; a warning counts all others that are left out.

    Args:
        path: The folder.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels, which must be the same for all.
        classes: Keep only images in these subfolders; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if the folder is missing, cannot be read or has no images, or a file cannot be read or does not fit.
    """
    check_fitting(size, fit, channels)
    root = existing(path)
    if not root.is_dir():
        raise UsageError(f"{path} is a file: expected a folder of images{kind_of(root).advice}")
    names = _images(root, classes)
    labels = np.array([_label(name) for name in names])
    paths = [root / names[index] for index in selected(len(names), labels, classes, limit)]
    return ImageFiles(paths, size=size, fit=fit, channels=channels)


def _images(root: Path, classes: tuple[str, ...] | None) -> list[Path]:
    """The image files below a folder, in the order of their paths; the number of all others is reported.

    Raises:
        UsageError: if there are none, or a folder that is asked for cannot be read.
    """
    endings = suffixes()
    found, left_out = list[Path](), list[Entry]()
    for entry in walk(root):
        if entry.unreadable:
            if classes is None or _label(entry.name / "file") in map(composed, classes):
                raise UsageError(
                    f"cannot read the folder {root / entry.name}: {entry.unreadable}; make it readable, or name the "
                    "subfolders to keep with -s data.classes=[...]"
                )
        elif entry.problem or entry.name.suffix.lower() not in endings:
            left_out.append(entry)
        else:
            found.append(entry.name)
    why = f"{len(left_out)} left out: {reasons(left_out)}"
    if not found:
        there = f"; {why}" if left_out else ""
        raise UsageError(f"no images in {root}: expected files ending in .png, .jpg, .webp, ...{there}")
    if left_out:
        count = len(found) + len(left_out)
        warnings.warn(Notice(f"{len(found)} of {count} files in {root} are used, {why}"), stacklevel=3)
    return sorted(found)


def _label(name: Path) -> str:
    """The class of a file by its path: the first subfolder, if there is one."""
    return composed(name.parts[0]) if len(name.parts) > 1 else ""
