"""Image files in a folder, each read when it is needed."""

from pathlib import Path

import numpy as np

from ebmkit.data.encoded import ImageFiles
from ebmkit.data.images import Channels, Fit, selected
from ebmkit.data.paths import existing
from ebmkit.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")


def folder(
    *,
    path: Path,
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[str, ...] | None = None,
    limit: int | None = None,
) -> ImageFiles:
    """Your own image files in a folder and its subfolders: png, jpg, bmp, webp, gif, tif; hidden ones are skipped.

    Args:
        path: The folder.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels, which must be the same for all.
        classes: Keep only images in these subfolders; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if the folder is missing or has no images, or a file cannot be read or does not fit.
    """
    root = existing(path)
    if not root.is_dir():
        raise UsageError(f"{path} is a file: expected a folder of images")
    names = sorted(entry.relative_to(root) for entry in root.rglob("*") if entry.suffix.lower() in SUFFIXES)
    names = [name for name in names if (root / name).is_file() and not any(part.startswith(".") for part in name.parts)]
    if not names:
        raise UsageError(f"no images in {path}: expected files ending in {', '.join(SUFFIXES)}")
    labels = np.array([name.parts[0] if len(name.parts) > 1 else "" for name in names])
    paths = [root / names[index] for index in selected(len(names), labels, classes, limit)]
    return ImageFiles(paths, size=size, fit=fit, channels=channels)
