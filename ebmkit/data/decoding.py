"""Encoded images (png, jpeg, ...) as pixels: their headers, their orientation, their transparency."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ebmkit.errors import UsageError, kind_and_message

# What a complete file of a format has near its end.
END_MARKS = {"PNG": b"IEND", "JPEG": b"\xff\xd9", "MPO": b"\xff\xd9"}
TAIL = 4096  # bytes at the end of a file in which its mark is searched
ORIENTATION = 0x0112  # the EXIF tag
GREY = ("1", "L", "LA", "La")
GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


class Encoded(NamedTuple):
    """An encoded image, wherever its bytes are.

    Attributes:
        name: What errors call it.
        open: Opens its bytes for reading.
    """

    name: str
    open: Callable[[], BinaryIO]


class Header(NamedTuple):
    """What the header of an image says, after the image was turned upright."""

    height: int
    width: int
    channels: int


@contextmanager
def opened(image: Encoded) -> Iterator[Image.Image]:
    """The image, opened but not yet decoded; it is closed when the block ends.

    Raises:
        UsageError: naming the image, for whatever goes wrong in the block while it is read.
    """
    try:
        # Given a path, Pillow maps uncompressed TIFFs into memory, and scrambles those that it has to turn.
        with image.open() as file, Image.open(file) as content:
            yield content
    except UnidentifiedImageError as error:  # whose own message is the address of a buffer
        raise UsageError(f"cannot read {image.name}: not an image of a known format; repair or remove it") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise UsageError(f"cannot read {image.name}: {kind_and_message(error)}; repair or remove it") from error


def read_header(image: Encoded, *, decode_unmarked: bool) -> Header:
    """Height, width and channels of an image, without decoding it unless it looks cut off.

    Args:
        image: The image.
        decode_unmarked: Whether an image is decoded to find out whether it is complete, where its format has no mark
            at its end.

    Raises:
        UsageError: naming the image, if it cannot be read, is cut off, or is neither grey nor colour.
    """
    with opened(image) as content:
        # Pillow reads all of a PNG in search of EXIF data, and turns a TIFF by itself.
        turned = "exif" in content.info and content.getexif().get(ORIENTATION, 1) >= 5
        (width, height), mode = content.size, content.mode
        mark = END_MARKS.get(str(content.format))
        if decode_unmarked if mark is None else mark not in tail(image):
            content.load()
    if mode not in GREY + GREY16 + COLOUR:
        raise UsageError(f"{image.name} is of mode {mode}: expected grey or colour of 8 or 16 bits")
    channels = 3 if mode in COLOUR else 1
    return Header(width, height, channels) if turned else Header(height, width, channels)


def tail(image: Encoded) -> bytes:
    """The last bytes of an encoded image."""
    with image.open() as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        return file.read()


def decode(image: Encoded) -> NDArray[Any]:
    """The pixels of an image, upright and with transparency on black; of several frames the first.

    Returns:
        uint8 `(H, W)` or `(H, W, 3)`; of images of 16 bits, floats in [-1, 1] `(1, H, W)`.

    Raises:
        UsageError: naming the image, if it cannot be read.
    """
    with opened(image) as content:
        upright = ImageOps.exif_transpose(content)
        if upright.mode in GREY16:
            return np.asarray(upright)[None] / np.float32(32767.5) - 1
        target = "RGB" if upright.mode in COLOUR else "L"
        if upright.mode in ALPHA or "transparency" in upright.info:
            pixels = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", pixels.size, "black"), pixels)
        return np.asarray(upright.convert(target))
