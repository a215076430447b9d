"""Arrays in files of numpy's: images, or vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebmkit.data.examples import as_examples
from ebmkit.data.images import Channels, Fit, Images, existing, selected
from ebmkit.errors import UsageError, nearest

# The names that an npz file's data may have, in order of preference.
KEYS = ("images", "x", "data")

# Elements looked at in one go when a whole array is checked.
CHUNK = 2**22


def arrays(
    *,
    path: str,
    key: str | None = None,
    labels: str | None = None,
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[int, ...] | None = None,
    limit: int | None = None,
) -> Images | Tensor:
    """Your own arrays: images or vectors in a .npy file (which is memory-mapped) or a .npz file.

    Images are uint8 `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`, or floating `(N, H, W)` or `(N, C, H, W)`;
    vectors are floating `(N, d)`. Images of floats must already be in [-1, 1].

    Args:
        path: The .npy or .npz file.
        key: Name of the array in an .npz file; none takes the only one, or images, x or data.
        labels: Name of the labels in the .npz file, or a .npy file of labels; only needed with classes.
        size: Side of the square images are fitted to; none keeps their size.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels.
        classes: Keep only examples with these labels; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if a file or key is missing, the array is no such thing, or a setting is out of range.
    """
    values, marks = _load(existing(path), key, labels)
    if values.dtype != np.uint8:
        _check_numbers(values, path)
    if values.ndim != 2 or values.dtype == np.uint8:
        return Images(values, marks, size=size, fit=fit, channels=channels, classes=classes, limit=limit)
    if size is not None or fit != "pad" or channels is not None:
        raise UsageError(f"{path} holds vectors, shape {values.shape}: leave out size, fit and channels")
    return as_examples(values[selected(len(values), marks, classes, limit)])


def _load(path: Path, key: str | None, labels: str | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The array in a file, and its labels where they were asked for."""
    file = _read(path)
    if isinstance(file, np.ndarray):
        if key is not None:
            raise UsageError(f"{path} holds a single array: leave out key (it names an array of an .npz file)")
        return file, None if labels is None else _labels(labels)
    named = labels is not None and not labels.endswith(".npy")
    others = [name for name in file if not (named and name == labels)]
    likely = others if len(others) == 1 else [name for name in KEYS if name in others]
    if key is None and not likely:
        raise UsageError(f"{path} has the arrays {', '.join(file)}: choose one with -s data.key=...")
    values = _member(path, file, key if key is not None else likely[0])
    if labels is None:
        return values, None
    return values, _member(path, file, labels) if named else _labels(labels)


def _labels(labels: str) -> NDArray[Any]:
    file = _read(existing(labels))
    if not isinstance(file, np.ndarray):
        raise UsageError(f"labels is {labels}: expected a .npy file, or the name of an array in the .npz file of path")
    return file


def _read(path: Path) -> Any:
    """The array of a .npy file, memory-mapped, or the arrays of a .npz file by name."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # what a damaged file raises is of many kinds, and none is ours
        raise UsageError(f"cannot read {path} as .npy or .npz: {_line(error)}") from error


def _member(path: Path, file: Mapping[str, NDArray[Any]], key: str) -> NDArray[Any]:
    if key not in file:
        raise UsageError(f"{path} has no array '{key}'.{nearest(key, file)} It has: {', '.join(file)}")
    try:
        member = file[key]
    except Exception as error:  # what a damaged archive raises is of many kinds, and none is ours
        raise UsageError(f"cannot read the array '{key}' of {path}: {_line(error)}") from error
    if not isinstance(member, np.ndarray):
        raise UsageError(f"'{key}' in {path} is no array: expected a .npz file as numpy.savez writes it")
    return member


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_numbers(values: NDArray[Any], path: str) -> None:
    """Raise UsageError unless these are finite numbers, and in [-1, 1] for images; reads the array in pieces."""
    if values.dtype.kind != "f":
        raise UsageError(f"{path} has numbers of type {values.dtype}: store images as uint8, or floats in [-1, 1]")
    if values.ndim not in (2, 3, 4) or values.size == 0:
        raise UsageError(
            f"{path} has shape {values.shape}: expected (N, H, W) or (N, C, H, W) for images, (N, d) for vectors"
        )
    low, high = np.inf, -np.inf
    rows = max(1, CHUNK * len(values) // values.size)
    for start in range(0, len(values), rows):
        piece = values[start : start + rows]
        low, high = np.minimum(low, piece.min()), np.maximum(high, piece.max())
    if not np.isfinite([low, high]).all():
        raise UsageError(f"{path} holds NaN or infinity: expected finite numbers")
    # No image set is without a single dark pixel: numbers that are never negative are in [0, 1].
    if values.ndim > 2 and (low < -1 or high > 1 or low >= 0):
        raise UsageError(
            f"{path} has numbers in [{low:g}, {high:g}], but images of floats must be in [-1, 1]: "
            "arrays in [0, 1] or 0..255: scale them to [-1, 1] or store uint8"
        )
