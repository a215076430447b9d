"""The kit's checks of data sets: the built-in ones pass, and each planted fault fails exactly its checks."""

import numpy as np
import pytest
from faulty.datasets import EVERYTHING, FAULTS, Items, good
from torch import Tensor

from ebmkit.data.arrays import arrays
from ebmkit.data.digits import digits
from ebmkit.data.shapes import shapes
from ebmkit.data.toys import gaussians, moons, rings
from ebmkit.testing import check_dataset, conforms, kit
from ebmkit.testing.kit import Subject


def failed(part: Subject) -> dict[str, str]:
    outcomes = [kit.outcome(name, check, part) for name, check in EVERYTHING.items()]
    return {one.check: one.reason for one in outcomes if one.verdict == "failed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_exactly_its_checks(fault):
    target, expected = FAULTS[fault]
    found = failed(Subject("data", target))
    assert set(found) == expected, found
    assert not [reason for reason in found.values() if "\n" in reason]


def test_every_check_detects_a_fault():
    assert set().union(*(expected for _, expected in FAULTS.values())) == set(EVERYTHING)


@pytest.mark.parametrize("target", [good, Items], ids=["tensor", "items"])
def test_valid_data_pass_every_check(target):
    assert failed(Subject("data", target)) == {}


def test_points_may_leave_the_range_of_images():
    assert failed(Subject("data", lambda: 100 * good().flatten(1))) == {}


def test_the_given_seed_is_compared_with_the_next():
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
