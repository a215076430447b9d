"""Samples written to a file as they are drawn, so that memory does not grow with their number."""

import math
import shutil
import zipfile
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.files import replacing, writing
from ebmkit.pictures import drawn_count, grid

SHOWN = 64  # how many samples are kept in memory to be shown
SUFFIXES = (".png", ".npy", ".npz")


class Written(NamedTuple):
    """What is known of samples that were written.

    Attributes:
        first: The first of them, `(m, *shape)`: as many as one picture shows.
        nonfinite: How many hold NaN or infinity.
    """

    first: Tensor
    nonfinite: int


def write_samples(chunks: Iterable[Tensor], shape: tuple[int, ...], path: Path) -> Written:
    """Write samples to a .npy, .npz or .png file; memory does not grow with their number, except for a picture.

    Args:
        chunks: The samples `(b, *shape)`, in order.
        shape: The shape of all of them, `(n, *shape)`.
        path: The file; an .npz file holds the array `samples`.

    Raises:
        UsageError: if they do not fit on the disk.
        Unwritten: if they cannot be written.
    """
    with replacing(path) as new:
        held = new.with_suffix(".npy")
        write_rows(chunks, shape, held, path)
        rows = np.load(held, mmap_mode="c")
        first = torch.from_numpy(np.array(rows[: drawn_count(shape[1:], SHOWN)]))
        nonfinite = count_nonfinite(rows)
        with writing(path):
            if path.suffix == ".png":
                sheet(torch.from_numpy(rows)).save(new)
            if path.suffix == ".npz":
                with zipfile.ZipFile(new, "w") as file:
                    file.write(held, "samples.npy")
    return Written(first, nonfinite)


def write_rows(chunks: Iterable[Tensor], shape: tuple[int, ...], held: Path, path: Path) -> None:
    """Write samples to the .npy file `held`, in order; errors name `path`.

    They are written and not assigned to mapped memory: on a full disk, that would kill the process.

    Raises:
        UsageError: if the disk has no room for samples of this shape.
        Unwritten: if they cannot be written.
    """
    needed, free = 4 * math.prod(shape), shutil.disk_usage(held.parent).free
    if needed > free:
        raise UsageError(
            f"{shape[0]} samples need {needed:,} bytes, and the disk of {path} has {free:,} free; "
            "make room, or ask for fewer by -n"
        )
    with writing(path):
        file = held.open("wb", buffering=0)
    with file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with writing(path):
            np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            with writing(path):
                write_all(file, chunk.cpu().numpy().astype("<f4"))


def write_all(file: FileIO, rows: np.ndarray) -> None:
    """Write an array to a file without a buffer, which may accept less than it is given."""
    rest = memoryview(rows.tobytes())
    while rest:
        rest = rest[file.write(rest) :]


def count_nonfinite(rows: np.ndarray, batch: int = 1024) -> int:
    """How many of the samples `(n, *shape)` hold NaN or infinity; `batch` of them are read at once."""
    axes = tuple(range(1, rows.ndim))
    parts = (rows[start : start + batch] for start in range(0, len(rows), batch))
    return sum(int((~np.isfinite(part).all(axes)).sum()) for part in parts)


def sheet(x: Tensor) -> Image.Image:
    """Samples `(n, *shape)` as one picture, as wide as it is high."""
    return grid(x, columns=math.ceil(math.sqrt(len(x))))
