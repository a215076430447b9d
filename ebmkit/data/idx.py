"""Idx files: the format of MNIST and Fashion-MNIST."""

import gzip
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebmkit.data.images import Channels, Fit, Images
from ebmkit.data.labels import Labels
from ebmkit.data.paths import UNZIPPED, existing, existing_file
from ebmkit.data.signatures import GZIP, IDX, kind_of
from ebmkit.errors import UsageError

IMAGES = "train-images-idx3-ubyte"
UBYTE = 8  # the code of unsigned bytes in the header
PIECE = 2**20  # bytes that are unzipped at once


def idx(
    *,
    path: Path,
    labels: Path | None = None,
    transpose: bool = False,
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[int, ...] | None = None,
    limit: int | None = None,
) -> Images:
    """Images in idx files, like those of MNIST, Fashion-MNIST and EMNIST: raw (which are memory-mapped) or gzipped.

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", which defines the format.

    Args:
        path: The file of images, or a folder with the file train-images-idx3-ubyte, raw or as .gz.
        labels: The file of labels; none reads the one beside the images, where labels are needed.
        transpose: Exchange the rows and columns of each image; EMNIST's files need it, which hold them transposed.
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
    marks: Labels = partial(_read_beside, images) if labels is None else read(labels, 1)
    pixels = read(images, 3)
    if transpose:
        pixels = pixels.swapaxes(1, 2)
    return Images(pixels, marks, size=size, fit=fit, channels=channels, classes=classes, limit=limit)


def read(path: Path, axes: int) -> NDArray[Any]:
    """The bytes of an idx file with this many axes; memory-mapped unless gzipped.

    Raises:
        UsageError: naming the file, what it should be and what it is.
    """
    path = existing_file(path, "an idx file")
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        content = np.frombuffer(_unzipped(path), np.uint8) if zipped else _mapped(path)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot unzip {path}: {error}; is it incomplete?") from error
    magic = bytes([0, 0, UBYTE, axes])
    start = bytes(content[:4])
    if start != magic:
        given, wanted = start.hex(" ") or "nothing", magic.hex(" ")
        kind = kind_of(path)
        raise UsageError(
            f"{path} is not an idx file of bytes with {axes} axes: it starts with {given}, not {wanted}"
            + (kind.advice if kind not in (IDX, GZIP) else "")
        )
    header = 4 + 4 * axes
    shape = tuple(int(length) for length in np.frombuffer(bytes(content[4:header]).ljust(4 * axes, b"\0"), ">u4"))
    expected = header + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise UsageError(f"{path} has {len(content):,} bytes, but its header says {expected:,}: is it incomplete?")
    return content[header:].reshape(shape)


def _unzipped(path: Path) -> bytearray:
    """The bytes in a gzipped file.

    Raises:
        UsageError: if there are more than `UNZIPPED`.
    """
    content = bytearray()
    with gzip.open(path) as file:
        while piece := file.read(PIECE):  # reading takes memory for all that is asked for, however little there is
            content += piece
            if len(content) > UNZIPPED:
                raise UsageError(
                    f"{path} unzips to more than {UNZIPPED:,} bytes: unzip it first, raw files are memory-mapped"
                )
    return content


def _mapped(path: Path) -> NDArray[Any]:
    """The bytes of a file, memory-mapped; an empty file cannot be mapped."""
    return np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)


def _raw_or_gz(path: Path) -> Path:
    """The file `path`, or else the one with `.gz` added to or taken from its name."""
    other = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    return other if other.exists() and not path.exists() else existing(path)


def _read_beside(images: Path) -> NDArray[Any]:
    """The labels in the file beside that of the images."""
    return read(_beside(images), 1)


def _beside(images: Path) -> Path:
    """The file of labels that the name of a file of images implies."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    if name == images.name:
        raise UsageError(
            f"the name {images.name} does not say which file has the labels: give it with -s data.labels=..."
        )
    return _raw_or_gz(images.with_name(name))
