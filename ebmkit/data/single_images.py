"""Single image files as examples of a given shape, as for a model that reconstructs them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ebmkit.data.decoding import decode, read_header
from ebmkit.data.encoded import image_file
from ebmkit.data.examples import as_examples
from ebmkit.data.images import Fit, check_padding, fitted
from ebmkit.data.paths import existing
from ebmkit.errors import UsageError


class Loaded(NamedTuple):
    """The images of some files.

    Attributes:
        x: The images in [-1, 1], `(n, *shape)`.
        paths: The file of each image, n of them.
        failures: A line for each file that could not be used: its name, what is wrong with it, what to do.
    """

    x: Tensor
    paths: list[Path]
    failures: list[str]


def load(paths: Iterable[str | Path], shape: tuple[int, ...], *, fit: Literal["none"] | Fit = "none") -> Loaded:
    """Image files as examples `(n, *shape)` in [-1, 1]; files that cannot be used are left out and reported.

    Args:
        paths: The files.
        shape: Shape of an example: `(1, H, W)` for grey or `(3, H, W)` for colour.
        fit: none refuses other sizes and channels; pad and resize fit both: see `ebmkit.data.images.fitted`.

    Raises:
        UsageError: if no file can be used, or images cannot be fitted to examples of this shape.
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
        reason = f"none of {len(failures)} can be used; the first: {failures[0]}" if failures else "none are given"
        raise UsageError(f"no images: {reason}")
    return Loaded(torch.stack(images), good, failures)


def read(path: Path, shape: tuple[int, ...], fit: Literal["none"] | Fit) -> Tensor:
    """The image in a file as one example `shape`.

    Raises:
        UsageError: naming the file, if it cannot be read or fitted.
    """
    image = image_file(path)
    height, width, channels = read_header(image)
    if fit == "none" and (channels, height, width) != shape:
        raise UsageError(
            f"{path} has shape {(channels, height, width)}, expected {shape} (channels, height, width): "
            "fit it with fit=pad or fit=resize"
        )
    if fit == "pad":
        check_padding(str(path), height, width, shape[1], "fit=resize")
    batch = as_examples(decode(image)[None])
    return batch[0] if fit == "none" else fitted(batch, shape[1], fit, 1 if shape[0] == 1 else 3)[0]
