"""Memory-mapped arrays that are passed to another process as the name of their file, not as a copy."""

import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ebmkit.errors import UsageError


class Mapped(NamedTuple):
    """Where the values of a memory-mapped array are in its file.

    Attributes:
        path: The file.
        offset: Bytes before the first element.
        dtype: Type of the elements.
        shape: Shape of the array.
        strides: Bytes from one element to the next, along each axis.
    """

    path: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def open(self) -> NDArray[Any]:
        """The array, mapped again.

        Raises:
            UsageError: if the file has become too short for it.
        """
        whole = np.memmap(self.path, np.uint8, mode="r")
        steps = [(length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True)]
        if self.offset + sum(step for step in steps if step > 0) + self.dtype.itemsize > len(whole):
            raise UsageError(f"{self.path} has become too short since it was opened: open the data again")
        first = whole[self.offset : self.offset + self.dtype.itemsize].view(self.dtype)
        return as_strided(first, self.shape, self.strides, subok=True, writeable=False)


def where(array: NDArray[Any]) -> Mapped | None:
    """Where the values of an array are in a file; None if it is not mapped from a file."""
    if not isinstance(array, np.memmap) or array.filename is None or not array.size:
        return None
    whole = array._mmap  # type: ignore[attr-defined]  # numpy keeps the mapping here, also for parts of the array
    begin = np.frombuffer(whole, np.uint8).__array_interface__["data"][0]
    # A mapping begins at a page of the file, at or before the array that numpy was asked for.
    page = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    offset = page + array.__array_interface__["data"][0] - begin
    return Mapped(Path(array.filename), int(offset), array.dtype, array.shape, array.strides)
