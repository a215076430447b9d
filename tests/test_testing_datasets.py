"""The kit's checks of data sets: the built-in ones pass, and each planted fault fails by the names that tell it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from ebmkit.data.array_files import arrays
from ebmkit.data.handwritten import digits
from ebmkit.data.drawings import shapes
from ebmkit.data.toys import gaussians, moons, rings
from ebmkit.testing import check_dataset, conforms, kit
from ebmkit.testing import datasets as home
from ebmkit.testing.kit import Subject

EVERYTHING = {name: check for name, check in kit.checks("data").items() if check.__module__ == home.__name__}


def good(*, seed: int = 0) -> Tensor:
    """Images of noise."""
    return torch.rand(40, 1, 4, 4, generator=Generator().manual_seed(seed)) * 2 - 1


class Items:
    """The same, an item at a time; the faults are below."""

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
    """Gives the next one, whichever is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0

    def __getitem__(self, index: int) -> Tensor:
        self.at += 1
        return self.x[self.at % len(self.x)]


class Ordered(Items):
    """Gives what was asked for in the order of the indices."""

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self.x[sorted(indices)]


class Shortened(Items):
    """Gives what is asked for alone otherwise than among others."""

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self.x[indices] / min(2, len(indices))


class Fixed(Items):
    """Gives two examples, however many are asked for."""

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
    "brightnesses from 0 to 255": (lambda: 127.5 * (good() + 1), {"images_are_in_their_range"}),
    "brightnesses from 0 to 1": (lambda: (good() + 1) / 2, {"images_are_in_their_range"}),
    "two sizes": (Ragged, LATER | {"data_have_one_shape_and_are_finite"}),
    "infinities": (Broken, LATER | {"data_have_one_shape_and_are_finite"}),
    "augmented": (
        Augmented,
        {"items_repeat", "data_repeat_when_built_again", "data_leave_global_randomness_unchanged"},
    ),
    "a stream": (Streaming, {"items_repeat"}),
    "sorted batches": (Ordered, {"items_repeat"}),
    "other batches": (Shortened, {"items_repeat"}),
    "always two": (Fixed, ALL),
    "not seeded": (unseeded, {"data_repeat_when_built_again", "data_leave_global_randomness_unchanged"}),
    "numpy seeded": (by_numpy, {"data_leave_global_randomness_unchanged"}),
    "a seed without effect": (unmoved, {"seeds_change_the_data"}),
    "nothing": (listed, ALL),
}


def failed(part: Subject) -> dict[str, str]:
    outcomes = [kit.outcome(name, check, part) for name, check in EVERYTHING.items()]
    return {one.check: one.reason for one in outcomes if one.verdict == "failed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_by_the_checks_that_name_it(fault):
    target, expected = FAULTS[fault]
    found = failed(Subject("data", target))
    assert set(found) == expected, found
    assert not [reason for reason in found.values() if "\n" in reason]


def test_every_check_catches_a_fault():
    assert set().union(*(expected for _, expected in FAULTS.values())) == set(EVERYTHING)


@pytest.mark.parametrize("target", [good, Items], ids=["tensor", "items"])
def test_good_data_fail_nothing(target):
    assert failed(Subject("data", target)) == {}


def test_points_need_not_be_in_the_range_of_images():
    assert failed(Subject("data", lambda: 100 * good().flatten(1))) == {}


def test_the_seed_that_was_chosen_is_compared_with_the_next():
    def stuck(*, seed: int = 0) -> Tensor:
        return good(seed=min(seed, 5))

    assert set(failed(Subject("data", stuck, {"seed": 5}))) == {"seeds_change_the_data"}
    assert failed(Subject("data", stuck)) == {}


@conforms("data", digits)
def test_digits_conform(check):
    check()


@conforms("data", digits, size=16, fit="resize", channels=3, classes=(1, 7), limit=50)
def test_fitted_digits_conform(check):
    check()


@conforms("data", shapes, count=100)
def test_shapes_conform(check):
    check()


@conforms("data", shapes, count=100, size=9, channels=1, seed=3)
def test_grey_shapes_conform(check):
    check()


@conforms("data", gaussians)
def test_gaussians_conform(check):
    check()


@conforms("data", rings)
def test_rings_conform(check):
    check()


@conforms("data", moons)
def test_moons_conform(check):
    check()


@pytest.mark.parametrize("name", ["bytes.npy", "floats.npy", "vectors.npz"])
def test_arrays_conform(tmp_path, name):
    pixels = np.random.default_rng(0).integers(256, size=(50, 8, 8), dtype=np.uint8)
    path = tmp_path / name
    if name == "bytes.npy":
        np.save(path, pixels)
    elif name == "floats.npy":
        np.save(path, pixels / 127.5 - 1)
    else:
        np.savez(path, x=pixels.reshape(50, 64) / 10)
    check_dataset(arrays, path=str(path))
