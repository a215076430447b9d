"""A picture in the terminal: half blocks, two pixels in each character."""

from collections.abc import Iterator

import numpy as np
from PIL import Image
from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style


def half_blocks(picture: Image.Image, width: int) -> Segments:
    """A picture as lines of at most `width` characters, shrunk to fit by a whole number and never enlarged.

    Each character is an upper half block: its own colour is the upper pixel, its background the lower one.
    """
    pixels = np.asarray(picture.convert("RGB").reduce(-(-picture.width // width)))
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    return Segments(blocks(pixels))


def blocks(pixels: np.ndarray) -> Iterator[Segment]:
    """Pixels `(2 rows, width, 3)` as characters, a line for each two rows."""
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        for above, below in zip(upper, lower, strict=True):
            yield Segment("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        yield Segment.line()
