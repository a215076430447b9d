"""Samples written to a file as they are drawn, through a file that is mapped into memory."""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.files import replacing
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
    """
    with replacing(path) as new:
        held = new.with_suffix(".npy")
        try:
            rows = np.lib.format.open_memmap(held, mode="w+", dtype=np.float32, shape=shape)
        except (OverflowError, ValueError, OSError):
            raise UsageError(f"{shape[0]} samples are too many for a file beside {path}; ask for fewer by -n") from None
        end = 0
        for chunk in chunks:
            start, end = end, end + len(chunk)
            rows[start:end] = chunk.cpu().numpy()
        if path.suffix == ".png":
            sheet(torch.from_numpy(rows)).save(new)
        first = torch.from_numpy(np.array(rows[: drawn_count(shape[1:], SHOWN)]))
        nonfinite = count_nonfinite(rows)
        rows.flush()
        if path.suffix == ".npz":
            with zipfile.ZipFile(new, "w") as file:
                file.write(held, "samples.npy")
    return Written(first, nonfinite)


def count_nonfinite(rows: np.ndarray, batch: int = 1024) -> int:
    """How many of the samples `(n, *shape)` hold NaN or infinity; `batch` of them are read at once."""
    axes = tuple(range(1, rows.ndim))
    parts = (rows[start : start + batch] for start in range(0, len(rows), batch))
    return sum(int((~np.isfinite(part).all(axes)).sum()) for part in parts)


def sheet(x: Tensor) -> Image.Image:
    """Samples `(n, *shape)` as one picture, as wide as it is high."""
    return grid(x, columns=math.ceil(math.sqrt(len(x))))
