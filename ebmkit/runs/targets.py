"""Examples to reconstruct: image files, or some of a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.data.single_images import load
from ebmkit.errors import check

NAMED = 16  # how many indices of examples the description lists


class Targets(NamedTuple):
    """Examples to reconstruct.

    Attributes:
        x: The examples, `(n, *shape)`.
        description: Where they are from, in one line.
        failures: A line for each image file that could not be used.
    """

    x: Tensor
    description: str
    failures: Sequence[str] = ()


def targets_from_files(images: Sequence[Path], shape: tuple[int, ...], fit: str) -> Targets:
    """Image files as examples `(n, *shape)`; `fit` is as in `ebmkit.data.single_images.load`.

    Raises:
        UsageError: if none of the files can be used.
    """
    found = load(images, shape, fit=cast(Any, fit))
    return Targets(found.x, f"{len(found.x)} of {len(images)} image files", found.failures)


def targets_from_data(examples: Examples, n: int, seed: int) -> Targets:
    """`n` examples of the data, drawn without replacement by the seed, in the order of the data set.

    Raises:
        UsageError: if there are fewer than `n`.
    """
    check("n", n, at_least=1, at_most=len(examples))
    indices = torch.randperm(len(examples), generator=Generator().manual_seed(seed))[:n].sort().values
    listed = ", ".join(map(str, indices[:NAMED].tolist())) + (", ..." if n > NAMED else "")
    description = f"{n} of {len(examples)} examples of the data, drawn by seed {seed}: {listed}"
    return Targets(examples.fetch(indices), description)
