"""Data sets with planted faults: `FAULTS` maps what is wrong to the data set and the checks that must fail."""

from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit.testing import checks, datasets

EVERYTHING = {name: check for name, check in checks("data").items() if check.__module__ == datasets.__name__}


def good(*, seed: int = 0) -> Tensor:
    """Images of noise."""
    return torch.rand(40, 1, 4, 4, generator=Generator().manual_seed(seed)) * 2 - 1


class Items:
    """The same images, one item at a time."""

    def __init__(self) -> None:
        self.x = good()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Tensor:
        return self.x[index]


class Ragged(Items):
    def __getitem__(self, index: int) -> Tensor:
        return self.x[index] if index < 35 else self.x[index, :, :2]


class Broken(Items):
    def __getitem__(self, index: int) -> Tensor:
        return self.x[index] if index < 35 else self.x[index] / 0


class Augmented(Items):
    def __getitem__(self, index: int) -> Tensor:
        return self.x[index].flip(1) if torch.rand(()) < 0.5 else self.x[index]


class Streaming(Items):
    """Returns the next item, whatever the index."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0

    def __getitem__(self, index: int) -> Tensor:
        self.at += 1
        return self.x[self.at % len(self.x)]


class Ordered(Items):
    """Returns the items in the order of their indices."""

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self.x[sorted(indices)]


class Shortened(Items):
    """Returns another item by itself than in a batch."""

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self.x[indices] / min(2, len(indices))


class Fixed(Items):
    """Returns two examples, whatever the indices."""

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self.x[:2]


def unseeded() -> Tensor:
    return torch.rand(40, 1, 4, 4) * 2 - 1


def by_numpy() -> Tensor:
    np.random.seed(0)  # noqa: NPY002
    return torch.from_numpy(np.random.rand(40, 1, 4, 4)).float() * 2 - 1  # noqa: NPY002


def unmoved(*, seed: int = 0) -> Tensor:
    return good()


def listed() -> list[Any]:
    return []


ALL = set(EVERYTHING) - {"seeds_change_the_data"}
LATER = {"images_are_in_their_range", "data_repeat_when_built_again", "data_leave_global_randomness_unchanged"}
FAULTS: dict[str, tuple[Any, set[str]]] = {
    "integers": (lambda: torch.arange(12).view(4, 3), ALL),
    "pixels from 0 to 255": (lambda: 127.5 * (good() + 1), {"images_are_in_their_range"}),
    "pixels from 0 to 1": (lambda: (good() + 1) / 2, {"images_are_in_their_range"}),
    "two sizes": (Ragged, LATER | {"data_have_one_shape_and_are_finite"}),
    "infinities": (Broken, LATER | {"data_have_one_shape_and_are_finite"}),
    "augmented": (
        Augmented,
        {"items_repeat", "data_repeat_when_built_again", "data_leave_global_randomness_unchanged"},
    ),
    "a stream": (Streaming, {"items_repeat"}),
    "sorted batches": (Ordered, {"items_repeat"}),
    "items that depend on the batch": (Shortened, {"items_repeat"}),
    "always two": (Fixed, ALL),
    "not seeded": (unseeded, {"data_repeat_when_built_again", "data_leave_global_randomness_unchanged"}),
    "seeds numpy": (by_numpy, {"data_leave_global_randomness_unchanged"}),
    "a seed without effect": (unmoved, {"seeds_change_the_data"}),
    "no examples": (listed, ALL),
}
