"""Images that lie in rows as the bytes of their files, or as paths: the column of a `datasets.Dataset`."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from ebmkit.data.examples import as_examples
from ebmkit.data.image_folder import COLOUR, ENDS, GREY, GREY16, ORIENTATION, TAIL, decoded
from ebmkit.data.images import Channels, Fit, check_fitting, fitted
from ebmkit.errors import UsageError

CHUNK = 1000  # rows read in one go when all headers are looked at


class EncodedImages(Dataset[Tensor]):
    """The image column of a `datasets.Dataset`: rows stay on disk, and are decoded when they are asked for.

    Each is float32 `(C, H, W)` in [-1, 1], decoded as in `ebmkit.data.image_folder`. All headers are read at once, so
    that an image that does not fit is found before training begins.

    Args:
        rows: The rows, with the images undecoded: a mapping of `bytes` and `path` each.
        column: The name of their images.
        numbers: The number that each row is known by in messages, `(N,)`.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: How images are fitted: see `ebmkit.data.images.fitted`.
        channels: 1 for grey, 3 for colour; none keeps the channels, which must be the same for all.

    Raises:
        UsageError: naming the first image, by its number, that cannot be read or does not fit.
    """

    def __init__(
        self,
        rows: Any,
        column: str,
        numbers: NDArray[np.int64],
        *,
        size: int | None,
        fit: Fit,
        channels: Channels | None,
    ) -> None:
        check_fitting(size, fit, channels)
        self.rows, self.column, self.numbers = rows, column, numbers
        self.size, self.fit, self.channels = size, fit, channels
        items = (item for batch in rows.iter(CHUNK) for item in batch[column])
        first = None
        for number, item in zip(numbers.tolist(), items, strict=True):
            height, width, count = header(item, number)
            first = first or (height, width, count)
            if size is None and (height, width) != first[:2]:
                raise UsageError(
                    f"{name(item, number)} is {height}x{width} but the first is {first[0]}x{first[1]} "
                    "(height x width): fit all to one size with -s data.size=32 -s data.fit=pad|resize"
                )
            if size is not None and fit == "pad" and max(height, width) > size:
                raise UsageError(
                    f"{name(item, number)} is {height}x{width}, larger than size {size}: shrink with -s data.fit=resize"
                )
            if channels is None and count != first[2]:
                raise UsageError(
                    f"{name(item, number)} has {count} channels but the first has {first[2]}: "
                    "choose for all with -s data.channels=1|3"
                )

    def __len__(self) -> int:
        """How many images were selected."""
        return len(self.numbers)

    def __getitem__(self, index: int) -> Tensor:
        """Image `index`, `(C, H, W)`."""
        with opened(self.rows[index][self.column], self.numbers[index]) as image:
            values = decoded(image)
        return fitted(as_examples(values[None]), self.size, self.fit, self.channels)[0]


@contextmanager
def opened(item: Any, number: int) -> Iterator[Image.Image]:
    """The image of a row; whatever goes wrong in reading it is a UsageError that names it."""
    try:
        with Image.open(io.BytesIO(content(item))) as image:
            yield image
    except UnidentifiedImageError as error:  # whose message is the address of a buffer
        raise UsageError(
            f"cannot read {name(item, number)}: it is no kind of image that is known; mend it or take it out"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise UsageError(f"cannot read {name(item, number)}: {line(error)}; mend it or take it out") from error


def name(item: Any, number: int) -> str:
    """What a row is called in messages: its number, counted from 0, and its file where it has one."""
    path = item and item["path"]
    return f"image {number} ({path})" if path else f"image {number}"


def content(item: Any) -> bytes:
    """The bytes of the file that a row holds or points to."""
    if item is None or (item["bytes"] is None and item["path"] is None):
        raise ValueError("the row is empty")
    return bytes(item["bytes"]) if item["bytes"] is not None else Path(item["path"]).read_bytes()


def header(item: Any, number: int) -> tuple[int, int, int]:
    """Height, width and channels of the image of a row, once turned upright; decoded only where it looks cut off."""
    with opened(item, number) as image:
        turned = "exif" in image.info and image.getexif().get(ORIENTATION, 1) >= 5
        (width, height), mode = image.size, image.mode
        end = ENDS.get(f".{str(image.format).lower()}")
        if end is None or end not in content(item)[-TAIL:]:
            image.load()
    if mode not in GREY + GREY16 + COLOUR:
        raise UsageError(f"{name(item, number)} is of mode {mode}: expected grey or colours of 8 or 16 bits")
    channels = 3 if mode in COLOUR else 1
    return (width, height, channels) if turned else (height, width, channels)


def line(error: BaseException) -> str:
    """An exception's kind and message as one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": ")
