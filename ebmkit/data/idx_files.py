"""The idx files of MNIST and its relatives."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebmkit.data.images import Channels, Fit, Images, existing
from ebmkit.errors import UsageError

IMAGES = "train-images-idx3-ubyte"
UBYTE = 8


def idx(
    *,
    path: str,
    labels: str | None = None,
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[int, ...] | None = None,
    limit: int | None = None,
) -> Images:
    """Idx files as of MNIST and Fashion-MNIST, raw (which are memory-mapped) or gzipped.

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", which defines the format.

    Args:
        path: The file of images, or a folder that has train-images-idx3-ubyte, raw or as .gz.
        labels: The file of labels; none takes the one beside the images, if classes are asked for.
        size: Side of the square images are fitted to; none keeps their size.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 3 repeats the grey channel; none keeps one.
        classes: Keep only images with these labels; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if a file is missing, cut short or of another format, or a setting is out of range.
    """
    images = existing(path)
    if images.is_dir():
        images = _raw_or_gz(images / IMAGES)
    marks = None
    if labels is not None:
        marks = read(existing(labels), 1)
    elif classes is not None:
        marks = read(_beside(images), 1)
    return Images(read(images, 3), marks, size=size, fit=fit, channels=channels, classes=classes, limit=limit)


def read(path: Path, axes: int) -> NDArray[Any]:
    """The bytes of an idx file of so many axes; memory-mapped unless gzipped.

    Raises:
        UsageError: naming the file, what it should be and what it is.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: expected an idx file")
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        content = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8) if zipped else _mapped(path)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot unzip {path}: {error}; is it cut short?") from error
    magic = bytes([0, 0, UBYTE, axes])
    start = bytes(content[:4])
    if start != magic:
        given, wanted = start.hex(" ") or "nothing", magic.hex(" ")
        raise UsageError(f"{path} is no idx file of bytes with {axes} axes: it starts with {given}, not {wanted}")
    header = 4 + 4 * axes
    shape = tuple(int(length) for length in np.frombuffer(bytes(content[4:header]).ljust(4 * axes, b"\0"), ">u4"))
    expected = header + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise UsageError(f"{path} has {len(content):,} bytes but {expected:,} by its header: is it cut short?")
    return content[header:].reshape(shape)


def _mapped(path: Path) -> NDArray[Any]:
    # An empty file cannot be mapped.
    return np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)


def _raw_or_gz(path: Path) -> Path:
    """The file `path`, or else the one with `.gz` added to or taken from its name."""
    other = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    return other if other.exists() and not path.exists() else existing(str(path))


def _beside(images: Path) -> Path:
    """The file of labels that belongs to a file of images, by its name."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    if name == images.name:
        raise UsageError(f"no file of labels goes with the name {images.name}: give one with -s data.labels=...")
    return _raw_or_gz(images.with_name(name))
