"""Any data set as examples of one shape in [-1, 1], and the endless batches drawn from it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Generator, Tensor

from ebmkit.data.items import is_uniform, values_of
from ebmkit.data.labels import as_classes
from ebmkit.errors import UsageError, check
from ebmkit.interfaces import noise_like, per_example


class Examples:
    """A data set as float32 examples of one shape; the rest of the library sees data only through this.

    FLOATS ARE USED UNCHANGED: they must already be in [-1, 1], images as `(C, H, W)`. Nothing is rescaled by
    guesswork; torchvision's `ToTensor` gives [0, 1], so add `Normalize(0.5, 0.5)` behind it.

    Values of type uint8 are brightnesses 0..255 and become `x / 127.5 - 1`. Arrays and PIL images of uint8 are
    `(H, W)` or `(H, W, C)` with 1, 3 or 4 channels; tensors of uint8 are `(H, W)` or `(C, H, W)`.

    An item may be a tensor, an array, a PIL image, a tuple or list whose first element is the example, or a
    mapping: the example is its "image", "img", "pixel_values" or "x", else its only value that is an array. If the
    source has `__getitems__(list[int])`, torch's protocol for whole batches, that is used; it may return a tensor.

    Examples are themselves a data set for torch's `DataLoader`.

    Args:
        source: A tensor or array `(N, *shape)`, or anything with `__len__` and `__getitem__`.

    Attributes:
        source: What the examples are read from.
        shape: The shape of one example, found from the first.

    Raises:
        UsageError: if the source is empty or not a data set, or its first item is not an example.
    """

    def __init__(self, source: Any) -> None:
        self.source: Any = source.source if isinstance(source, Examples) else source
        _check_source(self.source)
        first = torch.zeros(1, dtype=torch.long)
        self.shape: tuple[int, ...] = tuple(self._read(first)[0].shape)
        self.fetch(first)

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.source)

    def __getitem__(self, index: int) -> Tensor:
        """Example `index`, float32 `shape`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no example {index}: the data have {len(self)}")
        return self.fetch(torch.tensor([index % len(self)]))[0]

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        """The examples at `indices`, `shape` each: torch's `DataLoader` asks for a batch so."""
        return list(self.fetch(torch.tensor(indices, dtype=torch.long)))

    def fetch(self, indices: Tensor) -> Tensor:
        """The examples at `indices` `(n,)`: float32, `(n, *shape)`, on the CPU.

        Raises:
            UsageError: if one has another shape than the first, or is not finite.
        """
        items = self._read(indices)
        if len(items) != len(indices):
            raise UsageError(f"the data set returned {len(items)} items for {len(indices)} indices")
        parts = [items] if isinstance(items, Tensor) else [item[None] for item in items]
        for part, index in zip(parts, indices.tolist(), strict=False):
            if part.shape[1:] != self.shape:
                raise UsageError(
                    f"example {index} has shape {tuple(part.shape[1:])} but the first has {self.shape}: "
                    "resize or crop all to one shape"
                )
        batch = torch.cat([torch.empty(0, *self.shape), *parts])
        # x - x is 0 only for finite x; `isfinite` would take six times as long.
        finite = (batch - batch).flatten(1).sum(1) == 0
        if not bool(finite.all()):
            index = int(indices[int(finite.int().argmin())])
            raise UsageError(f"example {index} contains NaN or infinity: repair or remove it")
        return batch

    @cached_property
    def fingerprint(self) -> str:
        """What distinguishes this data set: how many examples it has, their shape, and a hash of a few of them."""
        digest = hashlib.sha256()
        for index in torch.linspace(0, len(self) - 1, min(8, len(self))).long():
            digest.update(self.fetch(index[None]).numpy().tobytes())
        return f"{len(self)} of shape {self.shape}, {digest.hexdigest()[:16]}"

    @cached_property
    def labels(self) -> Tensor:
        """The classes of the examples `(N,)`, whole numbers from 0 in the order of the names of the classes.

        They are those of the attribute `labels` of the source, `(N,)`.

        Raises:
            UsageError: if the source has none.
        """
        labels = getattr(self.source, "labels", None)
        if labels is None:
            raise UsageError(
                "the data have no labels, which this method needs: digits has them; for files of arrays write "
                "-s data.labels=..., and a data set of your own needs an attribute `labels`, one class for each example"
            )
        found = as_classes(np.asarray(labels), len(self))
        return torch.from_numpy(np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64))

    def _read(self, indices: Tensor) -> Tensor | list[Tensor]:
        """The examples at `indices`, unchecked: one tensor, or one for each."""
        if isinstance(self.source, Tensor):
            return as_examples(self.source.index_select(0, indices.to(self.source.device)))
        if isinstance(self.source, np.ndarray):
            return as_examples(self.source[indices.numpy()])
        numbers = indices.tolist()
        if hasattr(self.source, "__getitems__"):
            items = self.source.__getitems__(numbers)
            if isinstance(items, Tensor):
                return as_examples(items)
        else:
            items = [self.source[number] for number in numbers]
        if items and is_uniform(items):  # much faster than one by one
            return as_examples(torch.stack(list(items)))
        return [as_examples(values_of(item)[None])[0] for item in items]


def check_not_empty(count: int) -> None:
    """Refuse a data set without examples.

    Raises:
        UsageError: if `count` is 0.
    """
    if count == 0:
        raise UsageError("the data set is empty: expected at least one example")


def as_examples(batch: Tensor | NDArray[Any]) -> Tensor:
    """Examples `(n, ...)` as float32 `(n, *shape)` on the CPU: uint8 becomes [-1, 1], channels come first.

    Raises:
        UsageError: if the dtype is neither uint8 nor floating.
    """
    pixels = batch.dtype in (torch.uint8, np.uint8)
    floating = batch.is_floating_point() if isinstance(batch, Tensor) else batch.dtype.kind == "f"
    if not pixels and not floating:
        raise UsageError(f"examples are of type {batch.dtype}: expected uint8 (0..255) or floats in [-1, 1]")
    if isinstance(batch, Tensor):
        values = batch.detach().to("cpu", torch.float32)
    else:
        if pixels and batch.ndim == 4 and batch.shape[3] in (1, 3, 4):
            batch = rearrange(batch, "n h w c -> n c h w")
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and then refused
            values = torch.from_numpy(batch.astype(np.float32, order="C"))
    if not pixels:
        return values
    if values.ndim == 3:
        values = rearrange(values, "n h w -> n 1 h w")
    return values / 127.5 - 1


def batches(
    examples: Examples,
    batch_size: int,
    rng: Generator,
    *,
    noise: float | Callable[[int], float] = 0.0,
    flip: bool = False,
    device: torch.device | str = "cpu",
    start: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Tensor]:
    """Endless batches `(batch_size, *shape)`: examples drawn uniformly with replacement, as in the paper's code.

    The arguments and errors are those of `indexed_batches`, which also gives where the examples are in the data.
    """
    drawn = indexed_batches(examples, batch_size, rng, noise=noise, flip=flip, device=device, start=start, part=part)
    return (batch for batch, _ in drawn)


def indexed_batches(
    examples: Examples,
    batch_size: int,
    rng: Generator,
    *,
    noise: float | Callable[[int], float] = 0.0,
    flip: bool = False,
    device: torch.device | str = "cpu",
    start: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches `(batch_size, *shape)`, each with the indices of its examples `(batch_size,)` on the CPU.

    Of n processes, each draws the same batch from the same `rng`, and keeps its n-th part of it.

    Args:
        examples: What to draw from.
        batch_size: How many examples one batch has.
        rng: A generator on the CPU, so that the batches are the same on every device.
        noise: Standard deviation of the new noise added to each batch; or a function of the index of the update.
        flip: Whether each image is mirrored left to right with probability 1/2.
        device: Where the batches go.
        start: How many updates were made before; the first batch is that of update `start + 1`.
        part: Which part of each batch to keep, from 0, and into how many equal parts it is divided.

    Raises:
        UsageError: at the call, if there are fewer than `batch_size` examples, the noise is negative, or examples that
            are not images would be flipped.
    """
    check("batch_size", batch_size, at_least=1)
    if batch_size > len(examples):
        raise UsageError(
            f"batch_size is {batch_size}, but there are only {len(examples)} examples: choose a smaller one"
        )
    if not callable(noise):
        check("data noise", noise, at_least=0)
    if flip:
        check_flip(examples.shape)

    number, parts = part
    size = batch_size // parts
    kept = slice(number * size, (number + 1) * size)

    def draw() -> Iterator[tuple[Tensor, Tensor]]:
        index = start
        while True:
            index += 1
            scale = noise(index) if callable(noise) else noise
            check(f"data noise of update {index}", scale, at_least=0)
            indices = torch.randint(len(examples), (batch_size,), generator=rng)[kept]
            batch = examples.fetch(indices)
            if flip:
                mirrored = torch.rand(batch_size, generator=rng)[kept] < 0.5
                batch = torch.where(per_example(batch, mirrored), batch.flip(-1), batch)
            if scale:
                whole = noise_like(batch.new_empty(batch_size, *batch.shape[1:]), rng)
                batch = torch.add(batch, whole[kept], alpha=scale)
            yield _sent(batch, torch.device(device)), indices

    return draw()


def check_flip(shape: tuple[int, ...]) -> None:
    """Refuse to flip examples that are not images.

    Raises:
        UsageError: unless the shape is (channels, height, width).
    """
    if len(shape) != 3:
        raise UsageError(
            f"flip mirrors images of shape (channels, height, width), not examples of shape {tuple(shape)}: "
            "leave it out, or write false"
        )


def _sent(batch: Tensor, device: torch.device) -> Tensor:
    """The batch on `device`; to a GPU it is copied from pinned memory, so that the copy is not waited for."""
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


def _check_source(source: Any) -> None:
    """Refuse anything but a map-style data set with examples."""
    if isinstance(source, (Tensor, np.ndarray)) and source.ndim < 2:
        raise UsageError(f"the data have shape {tuple(source.shape)}: expected (N, *shape), N examples of one shape")
    if isinstance(source, Mapping):
        names = ", ".join(map(str, source))
        raise UsageError(f"the data are a mapping with the keys {names}: pass the data set of one key")
    if not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
        raise UsageError(f"a {type(source).__name__} is not a data set: expected __len__ and __getitem__")
    check_not_empty(len(source))
