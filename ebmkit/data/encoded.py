"""Data sets of encoded images, which are decoded when they are asked for."""

import io
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ebmkit.data.decoding import Encoded, decode, read_header
from ebmkit.data.examples import as_examples
from ebmkit.data.images import Channels, Fit, check_fitting, check_padding, fitted
from ebmkit.data.labels import Marks
from ebmkit.errors import UsageError, kind_and_message

CHUNK = 1000  # rows that are read at a time when all headers are checked


class EncodedImages(Dataset[Tensor]):
    """Encoded images, each decoded when it is asked for, as float32 `(C, H, W)` in [-1, 1].

    Photographs are turned upright (EXIF), transparency is laid on black, and of several frames the first is used.

    Args:
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: How images are fitted: see `ebmkit.data.images.fitted`.
        channels: 1 for grey, 3 for colour; none keeps the channels, which must be the same for all.

    Raises:
        UsageError: if a setting is out of range.
    """

    def __init__(self, *, size: int | None, fit: Fit, channels: Channels | None) -> None:
        check_fitting(size, fit, channels)
        self.size, self.fit, self.channels = size, fit, channels

    @abstractmethod
    def encoded(self, index: int) -> Encoded:
        """Image `index`, as it is stored."""

    def __getitem__(self, index: int) -> Tensor:
        """Image `index`, `(C, H, W)`."""
        pixels = decode(self.encoded(index))
        return fitted(as_examples(pixels[None]), self.size, self.fit, self.channels)[0]

    def check_headers(self, images: Iterable[Encoded]) -> None:
        """Read the headers of all images, so that one that does not fit or was cut off is found before training begins.

        Raises:
            UsageError: naming the first image that cannot be read or does not fit.
        """
        first = None
        for image in images:
            header = read_header(image)
            size = f"{header.height}x{header.width}"
            name, expected = first = first or (image.name, header)
            if self.size is None and header[:2] != expected[:2]:
                raise UsageError(
                    f"{image.name} is {size} but {name} is {expected.height}x{expected.width} (height x width): "
                    "fit all to one size with -s data.size=32 -s data.fit=pad|resize"
                )
            if self.size is not None and self.fit == "pad":
                check_padding(image.name, header.height, header.width, self.size)
            if self.channels is None and header.channels != expected.channels:
                raise UsageError(
                    f"{image.name} has {header.channels} channels but {name} has {expected.channels}: "
                    "choose for all with -s data.channels=1|3"
                )


class ImageFiles(EncodedImages):
    """Image files, each read when it is asked for; see `EncodedImages`.

    Args:
        paths: The files.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: How images are fitted: see `ebmkit.data.images.fitted`.
        channels: 1 for grey, 3 for colour; none keeps the channels, which must be the same for all.

    Raises:
        UsageError: naming the first file that cannot be read or does not fit.
    """

    def __init__(self, paths: list[Path], *, size: int | None, fit: Fit, channels: Channels | None) -> None:
        super().__init__(size=size, fit=fit, channels=channels)
        self.paths = paths
        self.check_headers(map(image_file, paths))

    def __len__(self) -> int:
        """How many files there are."""
        return len(self.paths)

    def encoded(self, index: int) -> Encoded:
        """Image `index`, as it is stored."""
        return image_file(self.paths[index])


class ImageRows(EncodedImages):
    """The image column of a `datasets.Dataset`: rows stay on disk, and are decoded when they are asked for.

    Args:
        rows: The rows, with the images undecoded: a mapping of `bytes` and `path` each.
        column: The name of the column of images.
        numbers: The number that each row is called by in messages, `(N,)`.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: How images are fitted: see `ebmkit.data.images.fitted`.
        channels: 1 for grey, 3 for colour; none keeps the channels, which must be the same for all.
        marks: The labels of the rows; none if they have none.
        inside: The folders that the files of rows must be in, for a table that somebody may have sent; None allows any.

    Raises:
        UsageError: naming the first image, by its number, that cannot be read or does not fit; or if the table is
            damaged.
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
        marks: Marks | None = None,
        inside: Sequence[Path] | None = None,
    ) -> None:
        super().__init__(size=size, fit=fit, channels=channels)
        self.rows, self.column, self.numbers = rows, column, numbers
        self.marks, self.inside = marks, inside
        self.check_headers(map(self.image_row, self.items(), numbers.tolist()))

    @property
    def labels(self) -> NDArray[Any] | None:
        """The class of each image, `(N,)`; None if it is not known."""
        return None if self.marks is None else self.marks.read()

    def __len__(self) -> int:
        """How many images were selected."""
        return len(self.numbers)

    def encoded(self, index: int) -> Encoded:
        """Image `index`, as it is stored."""
        return self.image_row(self.rows[index][self.column], self.numbers[index])

    def items(self) -> Iterator[Any]:
        """What each row has in the column.

        Raises:
            UsageError: if the table is damaged.
        """
        try:
            for batch in self.rows.iter(CHUNK):
                yield from batch[self.column]
        except Exception as error:  # pyarrow raises many types
            raise UsageError(f"cannot read the column '{self.column}': {kind_and_message(error)}") from error

    def image_row(self, item: Any, number: int) -> Encoded:
        """The image of a row: errors call it by its number, counted from 0, and by its file where it has one."""
        path = item and item["path"]
        name = f"image {number} ({path})" if path else f"image {number}"
        return Encoded(name, lambda: io.BytesIO(row_bytes(item, self.inside)))


def image_file(path: Path) -> Encoded:
    """The image in a file, which errors name on one line."""
    return Encoded(str(path).replace("\n", "\\n"), lambda: path.open("rb"))


def row_bytes(item: Any, inside: Sequence[Path] | None) -> bytes:
    """The bytes of the image that a row holds or points to.

    Raises:
        ValueError: for an empty row, and one that points to a file that is in none of the folders `inside`.
    """
    if item is None or (item["bytes"] is None and item["path"] is None):
        raise ValueError("the row is empty")
    if item["bytes"] is not None:
        return bytes(item["bytes"])
    path = Path(os.path.abspath(item["path"]))
    if inside is not None and not any(path.is_relative_to(folder) for folder in inside):
        raise ValueError("the row names a file that is not in the folder of the data set")
    return path.read_bytes()
