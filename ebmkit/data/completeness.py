"""Whether an encoded image was cut off, found without decoding it where its format allows that."""

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

TAIL = 4096  # bytes at the end of a file in which its mark is searched
EXIF_CHUNK = b"eXIf"  # of a PNG
SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # of a JPEG
# The TIFF tags of the offsets of the pixels, and of their counts of bytes: in strips, or in tiles.
OFFSETS, COUNTS = (273, 324), (279, 325)


def tail(file: BinaryIO) -> bytes:
    """The last bytes of a file."""
    file.seek(max(0, size_of(file) - TAIL))
    return file.read()


def size_of(file: BinaryIO) -> int:
    """The size of a file in bytes."""
    return file.seek(0, os.SEEK_END)


def is_complete(file: BinaryIO, content: "Image.Image", end: bytes) -> bool:
    """Whether the file of an opened image certainly has all of its pixels; an image that may lack some must be decoded.

    Args:
        file: The file.
        content: The image in it, not yet decoded.
        end: The last bytes of the file.
    """
    if content.format == "PNG":
        return b"IEND" in end
    if content.format in ("JPEG", "MPO"):
        _, mark, after = end.rpartition(END_OF_IMAGE)
        return bool(mark) and SCAN not in after  # the mark may be that of a thumbnail, before the image
    if content.format == "GIF":
        return end.rstrip(b"\0").endswith(b";")
    if content.format == "WEBP":
        file.seek(4)
        return 8 + int.from_bytes(file.read(4), "little") <= size_of(file)
    if content.format == "TIFF" and "jpeg" not in str(content.info.get("compression")):  # its tables may be cut off
        tags = content.tag_v2  # type: ignore[attr-defined]
        return any(
            offsets in tags and counts in tags and _inside(tags[offsets], tags[counts], size_of(file))
            for offsets, counts in zip(OFFSETS, COUNTS, strict=True)
        )
    return False


def _inside(offsets: tuple[int, ...], counts: tuple[int, ...], size: int) -> bool:
    """Whether every piece of a file of this size ends inside it."""
    return len(offsets) == len(counts) and all(
        offset + count <= size for offset, count in zip(offsets, counts, strict=True)
    )
