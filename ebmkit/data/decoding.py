"""Encoded images (png, jpeg, ...) as pixels: their headers, their orientation, their transparency."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ebmkit.data.completeness import EXIF_CHUNK, is_complete, size_of, tail
from ebmkit.errors import UsageError, kind_and_message

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 0x0112  # the EXIF tag
# What turns an image upright, by its orientation, as in `PIL.Image.Transpose`; 1 is upright.
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
GREY = ("1", "L", "LA", "La")
GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
SMALL = 2**22  # pixels that any file may have
DENSEST = 1000  # pixels in a byte of a larger one; compression by zlib, of three bytes a pixel, reaches 340
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
# Formats that Pillow opens and cannot decode by itself: documents, films, and containers of scientific data. For an EPS
# it starts Ghostscript, which executes the file.
UNDECODABLE = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")


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


@cache
def formats() -> tuple[str, ...]:
    """The formats that Pillow decodes by itself, by its names for them."""
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.OPEN if name not in UNDECODABLE)


@contextmanager
def opened(image: Encoded) -> Iterator[tuple[BinaryIO, "Image.Image"]]:
    """The file of an image, and the image, opened but not yet decoded; both are closed when the block ends.

    Raises:
        UsageError: naming the image, for whatever goes wrong in the block while it is read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        # Given a path, Pillow maps uncompressed TIFFs into memory, and scrambles those that it has to turn.
        with image.open() as file, Image.open(file, formats=formats()) as content:
            refuse_bomb(file, content)
            yield file, content
    except UnidentifiedImageError as error:  # whose own message is the address of a buffer
        raise UsageError(f"cannot read {image.name}: not an image of a known format; repair or remove it") from error
    except Exception as error:  # Pillow raises many types for a damaged file
        raise UsageError(f"cannot read {image.name}: {kind_and_message(error)}; repair or remove it") from error


def refuse_bomb(file: BinaryIO, content: "Image.Image") -> None:
    """Refuse an image of more pixels than a file of its size holds, before memory is taken for them.

    Raises:
        ValueError: in this case.
    """
    pixels, place = content.width * content.height, file.seek(0, os.SEEK_CUR)
    size = size_of(file)
    file.seek(place)  # some decoders go on from where the header ended
    if pixels > max(SMALL, DENSEST * size):
        raise ValueError(f"it claims {content.height}x{content.width} pixels in {size:,} bytes")


def read_header(image: Encoded) -> Header:
    """Height, width and channels of an image, without decoding it where its format shows whether it is complete.

    Raises:
        UsageError: naming the image, if it cannot be read, is cut off, or is neither grey nor colour.
    """
    with opened(image) as (file, content):
        (width, height), mode = content.size, content.mode
        place, end = file.seek(0, os.SEEK_CUR), tail(file)
        # A PNG may have its EXIF data behind its pixels, where Pillow finds them only by decoding it.
        if EXIF_CHUNK in end or not is_complete(file, content, end):
            file.seek(place)  # some decoders go on from where the header ended
            content.load()
        turned = orientation(content) >= 5
    if mode not in GREY + GREY16 + COLOUR and not is_grey16(content):
        raise UsageError(f"{image.name} is of mode {mode}: expected grey or colour of 8 or 16 bits")
    channels = 3 if mode in COLOUR else 1
    return Header(width, height, channels) if turned else Header(height, width, channels)


def is_grey16(content: "Image.Image") -> bool:
    """Whether an image is grey of 16 bits, which Pillow gives as int32 for .pgm files, scaled to 0..65535."""
    return content.mode in GREY16 or (content.mode == "I" and content.format == "PPM")


def orientation(content: "Image.Image") -> int:
    """The EXIF orientation of an image, 1 to 8; 1, upright, where it is missing or has no meaning.

    Phones and editors also write it as text, as bytes or as a list.
    """
    # Pillow turns a TIFF by itself, and would read all of a PNG in search of EXIF data.
    if content.format == "TIFF" or not {"exif", "xmp", "Raw profile type exif"} & set(content.info):
        return 1
    value: Any = content.getexif().get(ORIENTATION, 1)
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if isinstance(value, bytes):
        value = value[0] if value[:1] and value[0] < ord("0") else value.decode("ascii", errors="replace")
    if isinstance(value, str):
        digits = value.strip("\0 ")
        value = int(digits) if digits.isdecimal() else 1
    return int(value) if value in range(1, 9) else 1


def decode(image: Encoded) -> NDArray[Any]:
    """The pixels of an image, upright and with transparency on black; of several frames the first.

    Returns:
        uint8 `(H, W)` or `(H, W, 3)`; of images of 16 bits, floats in [-1, 1] `(1, H, W)`.

    Raises:
        UsageError: naming the image, if it cannot be read.
    """
    from PIL import Image

    with opened(image) as (_, content):
        content.load()
        turn = TURNS.get(orientation(content))
        upright = content if turn is None else content.transpose(Image.Transpose[turn])
        if is_grey16(content):
            return np.asarray(upright)[None].astype(np.float32) / np.float32(32767.5) - 1
        target = "RGB" if upright.mode in COLOUR else "L"
        if upright.mode in ALPHA or "transparency" in upright.info:
            pixels = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", pixels.size, "black"), pixels)
        return np.asarray(upright.convert(target))
