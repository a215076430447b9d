"""Images in an array, and how every data set of images selects its images and fits them to one size and colour."""

import operator
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange, repeat
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ebmkit.data.examples import as_examples, check_not_empty
from ebmkit.data.labels import Labels, Marks, among, as_classes
from ebmkit.data.mapped import Mapped, where
from ebmkit.errors import UsageError, check

Fit = Literal["pad", "resize"]
Channels = Literal[1, 3]

# The brightness of red, green and blue: Rec. 601.
LUMA = (0.299, 0.587, 0.114)


class Images(Dataset[Tensor]):
    """Images of an array, each float32 `(C, H, W)` in [-1, 1]; a memory-mapped array is never copied whole.

    Args:
        pixels: uint8 `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`, or floating in [-1, 1] `(N, H, W)`, `(N, C, H, W)`.
        labels: The class of each image: see `ebmkit.data.labels.as_classes`; or what reads them where they are needed.
        size: Side of the square images are fitted to; none keeps their size.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels.
        classes: Keep only images with these labels; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if the array is not of images, a setting is out of range, or no image is left.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        labels: Labels = None,
        *,
        size: int | None = None,
        fit: Fit = "pad",
        channels: Channels | None = None,
        classes: tuple[int, ...] | tuple[str, ...] | None = None,
        limit: int | None = None,
    ) -> None:
        _check_layout(pixels)
        check_fitting(size, fit, channels)
        self.pixels = pixels
        self.size, self.fit, self.channels = size, fit, channels
        self.indices = selected(len(pixels), labels, classes, limit)
        self.marks = Marks(labels, self.indices, len(pixels))
        self.batch([0])

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process gets: a memory-mapped array as its file, which is mapped again there."""
        return {**self.__dict__, "pixels": where(self.pixels) or self.pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what `__getstate__` returned."""
        self.__dict__.update(state)
        if isinstance(self.pixels, Mapped):
            self.pixels = self.pixels.open()

    @property
    def labels(self) -> NDArray[Any] | None:
        """The class of each image as it was given, `(N,)`; None if it is not known."""
        return self.marks.read()

    def __len__(self) -> int:
        """How many images were selected."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Tensor:
        """Image `index`, `(C, H, W)`."""
        return self.batch([operator.index(index)])[0]

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        """The images at `indices`, `(C, H, W)` each: torch's `DataLoader` asks for a batch so."""
        return list(self.batch(indices))

    def batch(self, indices: list[int]) -> Tensor:
        """The images at `indices` as one tensor, `(n, C, H, W)`."""
        batch = as_examples(self.pixels[self.indices[indices]])
        if batch.ndim == 3:
            batch = rearrange(batch, "n h w -> n 1 h w")
        return fitted(batch, self.size, self.fit, self.channels)


def selected(
    count: int,
    labels: Labels,
    classes: tuple[int, ...] | tuple[str, ...] | None,
    limit: int | None,
) -> NDArray[np.int64]:
    """The indices, in order, of the examples with one of the `classes`; at most `limit`, a fixed random choice.

    Raises:
        UsageError: if there are no examples, a class does not occur, or classes are given without labels.
    """
    check_not_empty(count)
    marks = None if labels is None or callable(labels) else as_classes(labels, count)
    indices = np.arange(count)
    if classes is not None:
        if callable(labels):
            marks = as_classes(labels(), count)
        if marks is None:
            raise UsageError("classes needs the labels of the examples: give them with -s data.labels=...")
        indices = among(marks, classes)
    if limit is not None:
        check("limit", limit, at_least=1)
        order = torch.randperm(len(indices), generator=Generator().manual_seed(0))
        indices = np.sort(indices[order[:limit].numpy()])
    return indices


def check_fitting(size: int | None, fit: str, channels: int | None) -> None:
    """Refuse settings of `fitted` that are out of range.

    Raises:
        UsageError: naming the setting.
    """
    if size is not None:
        check("size", size, at_least=1)
    if fit not in ("pad", "resize"):
        raise UsageError(f"fit must be pad or resize, not {fit}")
    if fit == "resize" and size is None:
        raise UsageError("fit=resize needs a size: add -s data.size=32")
    if channels not in (None, 1, 3):
        raise UsageError(f"channels must be 1 or 3, not {channels}")


def check_padding(name: str, height: int, width: int, size: int, remedy: str = "-s data.fit=resize") -> None:
    """Refuse an image that is too large to be padded to a square of `size` pixels.

    Raises:
        UsageError: naming the image, its size, and what to write instead.
    """
    if max(height, width) > size:
        raise UsageError(f"{name} is {height}x{width}, larger than size {size}: shrink with {remedy}")


def fitted(batch: Tensor, size: int | None, fit: Fit, channels: Channels | None) -> Tensor:
    """Images `(B, C, H, W)` in [-1, 1] as `(B, channels, size, size)`; None keeps the size or the channels.

    Grey is the Rec. 601 luma. "pad" centres on black; "resize" crops the longer side centrally, so that nothing is
    stretched, and scales bilinearly with antialiasing.

    Raises:
        UsageError: if images are too large to pad, or have other than 1 or 3 channels and are to be recoloured.
    """
    if channels is not None and batch.shape[1] != channels:
        batch = _recoloured(batch, channels)
    height, width = batch.shape[2:]
    if size is None or (height, width) == (size, size):
        return batch
    if fit == "pad":
        check_padding("an image", height, width, size)
        left, top = (size - width) // 2, (size - height) // 2
        return functional.pad(batch, (left, size - width - left, top, size - height - top), value=-1.0)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = batch[:, :, top : top + side, left : left + side]
    scaled = functional.interpolate(square, (size, size), mode="bilinear", antialias=True)
    return scaled.clamp(-1, 1)


def _recoloured(batch: Tensor, channels: Channels) -> Tensor:
    """Images with grey repeated, or colours weighted to grey."""
    if channels == 3 and batch.shape[1] == 1:
        return repeat(batch, "n 1 h w -> n c h w", c=3)
    if channels == 1 and batch.shape[1] == 3:
        weights = torch.tensor(LUMA).view(3, 1, 1)
        return (batch * weights).sum(1, keepdim=True)
    raise UsageError(f"images of {batch.shape[1]} channels cannot become images of {channels}: leave out channels")


def _check_layout(pixels: NDArray[Any]) -> None:
    """Refuse an array whose dtype and shape are not those of images."""
    shape = pixels.shape
    if pixels.dtype == np.uint8:
        channels = len(shape) == 4 and (shape[3] in (1, 3, 4) or shape[1] in (1, 3, 4))
        expected = "images of uint8 are (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels"
    else:
        # Any number of channels is accepted, unless the shape looks like (N, H, W, C).
        channels = len(shape) == 4 and (shape[3] not in (1, 3, 4) or shape[1] in (1, 3, 4) or shape[2] == shape[3])
        expected = "images of floats are (N, H, W) or (N, C, H, W)"
    if (len(shape) != 3 and not channels) or 0 in shape[1:]:
        raise UsageError(f"the array has shape {shape}, but {expected}")
