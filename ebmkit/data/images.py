"""Images held in an array, and how every image data set selects, crops, pads and colours its own."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange, repeat
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ebmkit.data.examples import as_examples
from ebmkit.errors import UsageError, check, nearest

Fit = Literal["pad", "resize"]
Channels = Literal[1, 3]

# The brightness of red, green and blue: Rec. 601.
LUMA = (0.299, 0.587, 0.114)


class Images(Dataset[Tensor]):
    """Images of an array, each float32 `(C, H, W)` in [-1, 1]; a memory-mapped array is never copied whole.

    Args:
        pixels: uint8 `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`, or floating in [-1, 1] `(N, H, W)`, `(N, C, H, W)`.
        labels: The class of each image, `(N,)`; only needed to select by.
        size: Side of the square images are fitted to; none keeps their size.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels.
        classes: Keep only images with these labels; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if the array is no such thing, a setting is out of range, or nothing is left.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        size: int | None = None,
        fit: Fit = "pad",
        channels: Channels | None = None,
        classes: tuple[int, ...] | None = None,
        limit: int | None = None,
    ) -> None:
        _check_layout(pixels)
        check_fitting(size, fit, channels)
        self.pixels = pixels
        self.size, self.fit, self.channels = size, fit, channels
        self.indices = selected(len(pixels), labels, classes, limit)
        self.__getitems__([0])

    def __len__(self) -> int:
        """How many images were selected."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Tensor:
        """Image `index`, `(C, H, W)`."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> Tensor:
        """The images at `indices`, `(n, C, H, W)`."""
        batch = as_examples(self.pixels[self.indices[indices]])
        if batch.ndim == 3:
            batch = rearrange(batch, "n h w -> n 1 h w")
        return fitted(batch, self.size, self.fit, self.channels)


def selected(
    count: int,
    labels: NDArray[Any] | None,
    classes: tuple[int, ...] | tuple[str, ...] | None,
    limit: int | None,
) -> NDArray[np.int64]:
    """The indices, in order, of those of `count` examples that have one of the `classes`; at most `limit`.

    Raises:
        UsageError: if there is nothing to select from, a class is not there, or there are no labels to go by.
    """
    if count == 0:
        raise UsageError("the data set is empty: expected at least one example")
    if labels is not None and labels.shape != (count,):
        raise UsageError(f"the labels have shape {labels.shape}: expected one for each of {count} examples, ({count},)")
    indices = np.arange(count)
    if classes is not None:
        if labels is None:
            raise UsageError("classes needs labels to go by, and there are none: give them with -s data.labels=...")
        known = np.unique(labels).tolist()
        unknown = [name for name in classes if name not in known]
        if unknown or not classes:
            given = ", ".join(map(str, unknown)) or "nothing"
            raise UsageError(f"classes asks for {given}; the data has {', '.join(map(str, known))}")
        indices = np.flatnonzero(np.isin(labels, np.array(classes)))
    if limit is not None:
        check("limit", limit, at_least=1)
        order = torch.randperm(len(indices), generator=Generator().manual_seed(0))
        indices = np.sort(indices[order[:limit].numpy()])
    return indices


def check_fitting(size: int | None, fit: str, channels: int | None) -> None:
    """Raise UsageError if one of the settings of `fitted` is out of range."""
    if size is not None:
        check("size", size, at_least=1)
    if fit not in ("pad", "resize"):
        raise UsageError(f"fit must be pad or resize, not {fit}")
    if fit == "resize" and size is None:
        raise UsageError("fit is resize, but no size is given: add -s data.size=32")
    if channels not in (None, 1, 3):
        raise UsageError(f"channels must be 1 or 3, not {channels}")


def fitted(batch: Tensor, size: int | None, fit: Fit, channels: Channels | None) -> Tensor:
    """Images `(B, C, H, W)` in [-1, 1] as `(B, channels, size, size)`; none keeps what there is.

    Grey is the Rec. 601 luma. "pad" centres on black; "resize" crops the longer side centrally, so that nothing is
    stretched, and scales bilinearly with antialiasing.

    Raises:
        UsageError: if images are too large to pad, or their channels can be neither averaged nor repeated.
    """
    if channels is not None and batch.shape[1] != channels:
        batch = _coloured(batch, channels)
    height, width = batch.shape[2:]
    if size is None or (height, width) == (size, size):
        return batch
    if fit == "pad":
        if max(height, width) > size:
            raise UsageError(f"images of {height}x{width} do not fit in size {size}: shrink with -s data.fit=resize")
        left, top = (size - width) // 2, (size - height) // 2
        return functional.pad(batch, (left, size - width - left, top, size - height - top), value=-1.0)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = batch[:, :, top : top + side, left : left + side]
    scaled = functional.interpolate(square, (size, size), mode="bilinear", antialias=True)
    return scaled.clamp(-1, 1)


def existing(path: str) -> Path:
    """`path` as a Path, `~` being the home folder.

    Raises:
        UsageError: if nothing is there, with the nearest name that is.
    """
    try:
        found = Path(path).expanduser()
        there = found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"cannot use {path!a} as a path: {error}") from None
    if not there:
        names = [entry.name for entry in found.parent.iterdir()] if found.parent.is_dir() else []
        raise UsageError(f"no such file: {path}.{nearest(found.name, names)}")
    return found


def _coloured(batch: Tensor, channels: Channels) -> Tensor:
    if channels == 3 and batch.shape[1] == 1:
        return repeat(batch, "n 1 h w -> n c h w", c=3)
    if channels == 1 and batch.shape[1] == 3:
        weights = torch.tensor(LUMA).view(3, 1, 1)
        return (batch * weights).sum(1, keepdim=True)
    raise UsageError(f"images of {batch.shape[1]} channels cannot become images of {channels}: leave channels unset")


def _check_layout(pixels: NDArray[Any]) -> None:
    """Raise UsageError unless the array's type and shape are those of images."""
    shape = pixels.shape
    if pixels.dtype == np.uint8:
        channels = len(shape) == 4 and (shape[3] in (1, 3, 4) or shape[1] in (1, 3, 4))
        expected = "uint8 images are (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels"
    else:
        # Any number of channels will do, unless this looks like (N, H, W, C).
        channels = len(shape) == 4 and (shape[3] not in (1, 3, 4) or shape[1] in (1, 3, 4) or shape[2] == shape[3])
        expected = "floating images are (N, H, W) or (N, C, H, W)"
    if (len(shape) != 3 and not channels) or 0 in shape[1:]:
        raise UsageError(f"the array has shape {shape}, but {expected}")
