"""The kit's checks of features: valid ones pass, and each planted fault fails exactly its checks."""

import pytest
from faulty.features import FAULTS, Good

from ebmkit.features.digits import Digits
from ebmkit.features.pixels import Pixels
from ebmkit.testing import conforms, kit
from ebmkit.testing import features as home
from ebmkit.testing.kit import Subject

EVERYTHING = {name: check for name, check in kit.checks("features").items() if check.__module__ == home.__name__}


@conforms("features", Good, shape=(3, 8, 8))
def test_valid_features_pass_every_check(check):
    check()


@conforms("features", Pixels, shape=(1, 8, 8), size=4)
def test_pixels_conform(check):
    check()


@conforms("features", Digits, shape=(1, 8, 8))
def test_digits_conform(check):
    check()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_exactly_its_checks(fault):
    target, expected = FAULTS[fault]
    part = Subject("features", target, shape=(3, 8, 8))
    outcomes = [kit.outcome(name, check, part) for name, check in EVERYTHING.items()]
    found = {one.check: one.reason for one in outcomes if one.verdict == "failed"}
    assert set(found) == expected, found


def test_every_check_detects_a_fault():
    assert set().union(*(expected for _, expected in FAULTS.values())) == set(EVERYTHING)
