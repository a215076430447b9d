"""The kit's checks of methods and networks: valid ones pass, and each planted fault fails exactly its checks."""

from typing import ClassVar

import pytest
from faulty import methods, networks

from ebmkit.methods.by_settings import MaximumLikelihood
from ebmkit.methods.conditional import ClassConditional
from ebmkit.methods.denoising import DenoisingScoreMatching
from ebmkit.methods.jem import JEM
from ebmkit.networks.convnet import ConvNet
from ebmkit.networks.dense import Dense
from ebmkit.testing import conforms, kit
from ebmkit.testing import methods as method_home
from ebmkit.testing import networks as network_home
from ebmkit.testing.kit import Subject

HOMES = {"method": method_home, "network": network_home}
EVERY = {
    kind: {name: check for name, check in kit.checks(kind).items() if check.__module__ == home.__name__}
    for kind, home in HOMES.items()
}
PLANTED = [("method", fault) for fault in methods.FAULTS] + [("network", fault) for fault in networks.FAULTS]


def fault_of(kind, fault):
    return (methods if kind == "method" else networks).FAULTS[fault]


@conforms("method", methods.Good, shape=(2,))
def test_a_valid_method_passes_every_check(check):
    check()


class Averaging(methods.Good):
    """A valid method whose runs keep a moving average by default."""

    defaults: ClassVar = {**methods.Good.defaults, "average": 0.5}


@conforms("method", Averaging, shape=(2,))
def test_a_valid_method_that_averages_passes_every_check(check):
    check()


@conforms("network", networks.Good, shape=(2,))
def test_a_valid_network_passes_every_check(check):
    check()


@conforms("method", MaximumLikelihood)
def test_maximum_likelihood_conforms(check):
    check()


@conforms("method", DenoisingScoreMatching)
def test_denoising_conforms(check):
    check()


@conforms("method", ClassConditional)
def test_class_conditional_conforms(check):
    check()


@conforms("method", JEM)
def test_jem_conforms(check):
    check()


@conforms("network", Dense)
def test_dense_conforms(check):
    check()


@conforms("network", ConvNet)
def test_convnet_conforms(check):
    check()


@pytest.mark.parametrize(("kind", "fault"), PLANTED, ids=lambda word: word.replace(" ", "-"))
def test_a_fault_fails_exactly_its_checks(kind, fault):
    target, expected = fault_of(kind, fault)
    part = Subject(kind, target, shape=(2,))
    outcomes = [kit.outcome(name, check, part) for name, check in EVERY[kind].items()]
    found = {one.check: one.reason for one in outcomes if one.verdict == "failed"}
    assert set(found) == expected, found


@pytest.mark.parametrize("kind", EVERY)
def test_every_check_detects_a_fault(kind):
    faults = (methods if kind == "method" else networks).FAULTS.values()
    assert set().union(*(expected for _, expected in faults)) == set(EVERY[kind])
