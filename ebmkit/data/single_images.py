"""Single image files as examples of a given shape: what a trained model is asked to reconstruct."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ebmkit.data.examples import as_examples
from ebmkit.data.image_folder import decoded, header, opened
from ebmkit.data.images import Fit, existing, fitted
from ebmkit.errors import UsageError


class Loaded(NamedTuple):
    """What could be read of some files.

    Attributes:
        x: The images in [-1, 1], `(n, *shape)`.
        paths: The files that they are from, n of them.
        failures: A line for each other file: its name, what is wrong with it, what to do.
    """

    x: Tensor
    paths: list[Path]
    failures: list[str]


def load(paths: Iterable[str | Path], shape: tuple[int, ...], *, fit: Literal["none"] | Fit = "none") -> Loaded:
    """Image files as examples `(n, *shape)` in [-1, 1]; files that cannot be used are left out, and named.

    Args:
        paths: The files.
        shape: What examples must be: `(1, H, W)` for grey or `(3, H, W)` for colour.
        fit: none refuses other sizes and colours; pad and resize fit both: see `ebmkit.data.images.fitted`.

    Raises:
        UsageError: if no file at all can be used, or examples of this shape are no images or cannot be fitted to.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(f"image files cannot become examples of shape {shape}: expected (1, H, W) or (3, H, W)")
    if fit not in ("none", "pad", "resize"):
        raise UsageError(f"fit must be none, pad or resize, not {fit}")
    if fit != "none" and shape[1] != shape[2]:
        raise UsageError(f"fit={fit} makes squares, but examples have shape {shape}: choose fit=none")
    images: list[Tensor] = []
    good: list[Path] = []
    failures: list[str] = []
    for path in paths:
        try:
            images.append(read(existing(str(path)), shape, fit))
            good.append(Path(path))
        except UsageError as error:
            failures.append(str(error))
    if not images:
        first = f"none of {len(failures)} can be used; the first: {failures[0]}" if failures else "none are given"
        raise UsageError(f"no images: {first}")
    return Loaded(torch.stack(images), good, failures)


def read(path: Path, shape: tuple[int, ...], fit: Literal["none"] | Fit) -> Tensor:
    """The image in a file as one example `shape`.

    Raises:
        UsageError: naming the file, if it cannot be read or fitted.
    """
    height, width, channels = header(path)
    if fit == "none" and (channels, height, width) != shape:
        raise UsageError(
            f"{path} has shape {(channels, height, width)}, expected {shape} (channels, height, width): "
            "fit it with fit=pad or fit=resize"
        )
    if fit == "pad" and max(height, width) > shape[1]:
        raise UsageError(f"{path} is {height}x{width}, larger than {shape[1]}x{shape[2]}: shrink it with fit=resize")
    with opened(path) as image:
        batch = as_examples(decoded(image)[None])
    return batch[0] if fit == "none" else fitted(batch, shape[1], fit, 1 if shape[0] == 1 else 3)[0]
