"""Image files in a folder, read as they are needed."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from ebmkit.data.examples import as_examples
from ebmkit.data.images import Channels, Fit, check_fitting, existing, fitted, selected
from ebmkit.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
ENDS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}  # what a whole file has at its end
TAIL = 4096
ORIENTATION = 0x0112
GREY = ("1", "L", "LA", "La")
GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


class ImageFiles(Dataset[Tensor]):
    """Image files, each read when it is asked for, as float32 `(C, H, W)` in [-1, 1].

    All headers are read at once, so that a file that does not fit is found before training begins. Photographs are
    turned upright (EXIF), transparency is laid on black, and of several frames the first is taken.

    Args:
        paths: The files.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: How images are fitted: see `ebmkit.data.images.fitted`.
        channels: 1 for grey, 3 for colour; none keeps the channels, which must be the same for all.

    Raises:
        UsageError: naming the first file that cannot be read or does not fit.
    """

    def __init__(self, paths: list[Path], *, size: int | None, fit: Fit, channels: Channels | None) -> None:
        check_fitting(size, fit, channels)
        self.paths = paths
        self.size, self.fit, self.channels = size, fit, channels
        first = header(paths[0])
        for path in paths:
            height, width, count = header(path)
            if size is None and (height, width) != first[:2]:
                raise UsageError(
                    f"{path} is {height}x{width} but {paths[0].name} is {first[0]}x{first[1]} (height x width): "
                    "fit all to one size with -s data.size=32 -s data.fit=pad|resize"
                )
            if size is not None and fit == "pad" and max(height, width) > size:
                raise UsageError(f"{path} is {height}x{width}, larger than size {size}: shrink with -s data.fit=resize")
            if channels is None and count != first[2]:
                raise UsageError(
                    f"{path} has {count} channels but {paths[0].name} has {first[2]}: "
                    "choose for all with -s data.channels=1|3"
                )

    def __len__(self) -> int:
        """How many files there are."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """Image `index`, `(C, H, W)`."""
        with opened(self.paths[index]) as image:
            values = decoded(image)
        return fitted(as_examples(values[None]), self.size, self.fit, self.channels)[0]


def folder(
    *,
    path: str,
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


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The image in a file; whatever goes wrong in reading it is a UsageError that names the file."""
    try:
        # Given a path, Pillow maps uncompressed TIFFs into memory, and scrambles those that it has to turn.
        with path.open("rb") as file, Image.open(file) as image:
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"cannot read the image {path}: {reason}; mend it or take it out") from error


def header(path: Path) -> tuple[int, int, int]:
    """Height, width and channels of the image in a file, once turned upright; the pixels are not read."""
    with opened(path) as image:
        # Pillow reads all of a PNG in search of EXIF data, and turns a TIFF by itself.
        turned = "exif" in image.info and image.getexif().get(ORIENTATION, 1) >= 5
        width, height = image.size
        mode = image.mode
    if mode not in GREY + GREY16 + COLOUR:
        raise UsageError(f"{path} is an image of mode {mode}: expected grey or colours of 8 or 16 bits")
    check_whole(path)
    channels = 3 if mode in COLOUR else 1
    return (width, height, channels) if turned else (height, width, channels)


def check_whole(path: Path) -> None:
    """Raise UsageError for a file that was cut off: one without its kind's mark near the end is decoded to find out."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        tail = file.read()
    if ENDS.get(path.suffix.lower(), b"") not in tail:
        with opened(path) as image:
            image.load()


def decoded(image: Image.Image) -> NDArray[Any]:
    """The pixels of an image, upright: uint8 `(H, W)` or `(H, W, 3)`, or floats in [-1, 1] `(1, H, W)` of 16 bits."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in GREY16:
        return np.asarray(upright)[None] / np.float32(32767.5) - 1
    target = "RGB" if upright.mode in COLOUR else "L"
    if upright.mode in ALPHA or "transparency" in upright.info:
        pixels = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", pixels.size, "black"), pixels)
    return np.asarray(upright.convert(target))
