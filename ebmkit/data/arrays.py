"""Arrays of images or vectors in numpy's files, .npy and .npz."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ebmkit.data.examples import as_examples
from ebmkit.data.images import Channels, Fit, Images, selected
from ebmkit.data.labels import Marks
from ebmkit.data.paths import UNZIPPED, composed, existing_file
from ebmkit.data.signatures import ARRAY, kind_of
from ebmkit.errors import UsageError, kind_and_message, listed, nearest

# The names of the examples in an .npz file, in order of preference.
KEYS = ("images", "x", "data")

# Elements that are read at a time when a whole array is checked.
CHUNK = 2**22


def arrays(
    *,
    path: Path,
    key: str | None = None,
    labels: Path | str | None = None,
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[int, ...] | tuple[str, ...] | None = None,
    limit: int | None = None,
) -> "Images | Tensor | Vectors":
    """Your own arrays: images or vectors in a .npy file (which is memory-mapped) or a .npz file.

    Images are uint8 `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`, or floating `(N, H, W)` or `(N, C, H, W)`;
    vectors are floating `(N, d)`. Images of floats must already be in [-1, 1].

    Args:
        path: The .npy or .npz file.
        key: Name of the array in an .npz file; none selects the only one, or images, x or data.
        labels: Name of the labels in the .npz file, or a .npy file of labels, `(N,)`, `(N, 1)` or one-hot; only needed
            with classes, and for methods that learn classes.
        size: Side of the square images are fitted to; none keeps their size.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels.
        classes: Keep only examples with these labels; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if a file or key is missing, the array is not of images or vectors, or a setting is out of range.
    """
    values, marks = _load(existing_file(path, "a .npy or .npz file"), key, labels)
    if values.dtype != np.uint8:
        _check_values(values, path)
    if values.ndim != 2 or values.dtype == np.uint8:
        return Images(values, marks, size=size, fit=fit, channels=channels, classes=classes, limit=limit)
    if size is not None or fit != "pad" or channels is not None:
        raise UsageError(f"{path} holds vectors, shape {values.shape}: leave out size, fit and channels")
    indices = selected(len(values), marks, classes, limit)
    x = as_examples(values[indices])
    return x if marks is None else Vectors(x, Marks(marks, indices, len(values)))


class Vectors(Dataset[Tensor]):
    """Vectors with labels.

    Args:
        x: The vectors, `(N, d)`.
        marks: Their labels.
    """

    def __init__(self, x: Tensor, marks: Marks) -> None:
        self.x, self.marks = x, marks

    @property
    def labels(self) -> NDArray[Any] | None:
        """The class of each vector, `(N,)`."""
        return self.marks.read()

    def __len__(self) -> int:
        """How many vectors were selected."""
        return len(self.x)

    def __getitem__(self, index: int) -> Tensor:
        """Vector `index`, `(d,)`."""
        return self.x[index]

    def __getitems__(self, indices: list[int]) -> Tensor:
        """The vectors at `indices`, `(n, d)`."""
        return self.x[indices]


def _load(path: Path, key: str | None, labels: Path | str | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The array in a file, and its labels if they were asked for."""
    file = _read(path)
    if isinstance(file, np.ndarray):
        if key is not None:
            raise UsageError(f"{path} holds a single array: leave out key (it names an array of an .npz file)")
        return file, None if labels is None else _labels(labels)
    inside = None  # the name of the labels, where they are an array of the same file
    if labels is not None and Path(labels).suffix != ".npy":
        # A file of that name, which may happen to exist, makes a path of the setting: see `ebmkit.config.conversion`.
        inside = labels.name if isinstance(labels, Path) else labels
    others = [name for name in file if inside is None or composed(name) != composed(inside)]
    likely = others if len(others) == 1 else [name for name in KEYS if name in others]
    if key is None and not likely:
        raise UsageError(f"{path} has the arrays {listed(file)}: choose one with -s data.key=...")
    values = _member(path, file, key if key is not None else likely[0])
    if labels is None:
        return values, None
    return values, _labels(labels) if inside is None else _member(path, file, inside)


def _labels(labels: Path | str) -> NDArray[Any]:
    """The labels in a .npy file of their own."""
    expected = "a .npy file, or the name of an array in the .npz file of path"
    file = _read(existing_file(labels, expected))
    if not isinstance(file, np.ndarray):
        raise UsageError(f"labels is {labels}: expected {expected}")
    return file


def _read(path: Path) -> Any:
    """The array of a .npy file, memory-mapped, or the arrays of a .npz file by name."""
    try:
        file = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises many types for a damaged file
        kind = kind_of(path)
        reason = f": {kind_and_message(error)}" if kind is ARRAY or not kind.name else kind.advice
        raise UsageError(f"cannot read {path} as .npy or .npz{reason}") from error
    if not isinstance(file, np.ndarray) and (kind := kind_of(path)).name:
        raise UsageError(f"cannot read {path} as .npy or .npz{kind.advice}")
    return file


def _member(path: Path, file: Mapping[str, NDArray[Any]], key: str) -> NDArray[Any]:
    """The array of that name in an .npz file."""
    names = {composed(name): name for name in file}
    if composed(key) not in names:
        raise UsageError(f"{path} has no array '{key}'.{nearest(key, file)} It has: {listed(file)}")
    _check_unzipped(path, file, names[composed(key)])
    try:
        member = file[names[composed(key)]]
    except Exception as error:  # numpy raises many types for a damaged archive
        raise UsageError(f"cannot read the array '{key}' of {path}: {kind_and_message(error)}") from error
    if not isinstance(member, np.ndarray):
        raise UsageError(f"'{key}' in {path} is not an array: expected a .npz file as numpy.savez writes it")
    return member


def _check_unzipped(path: Path, file: Any, name: str) -> None:
    """Refuse an array of an .npz file that is larger in memory than `UNZIPPED`, and than the file itself."""
    # The names of arrays are those of the files in a zip, without their ending.
    sizes = {one.filename.removesuffix(".npy"): one.file_size for one in file.zip.infolist()}
    if sizes[name] > max(UNZIPPED, path.stat().st_size):
        raise UsageError(
            f"the array '{name}' of {path} unzips to more than {UNZIPPED:,} bytes: save it by numpy.save, which makes "
            "files that are memory-mapped"
        )


def _check_values(values: NDArray[Any], path: Path) -> None:
    """Refuse values that are not finite floats, or not in [-1, 1] for images; the array is read in pieces."""
    if values.dtype.kind != "f":
        raise UsageError(f"{path} has values of type {values.dtype}: store images as uint8, or as floats in [-1, 1]")
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
        raise UsageError(f"{path} contains NaN or infinity: expected finite values")
    # Every set of images has a dark pixel: values that are never negative are in [0, 1].
    if values.ndim > 2 and (low < -1 or high > 1 or low >= 0):
        raise UsageError(
            f"{path} has values in [{low:g}, {high:g}], but images of floats must be in [-1, 1]: "
            "scale them to [-1, 1], or store them as uint8"
        )
