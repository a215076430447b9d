"""The kit's checks of inits: the built-in ones pass, and each planted fault fails exactly its checks."""

import pytest
from faulty.inits import FAULTS, Good

from ebmkit.inits.data import DataInit
from ebmkit.inits.fitted import FittedGaussian
from ebmkit.inits.gaussian import Gaussian
from ebmkit.inits.mixture import GaussianMixture
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.inits.uniform import Uniform
from ebmkit.testing import conforms, kit
from ebmkit.testing import inits as home
from ebmkit.testing.kit import Subject

EVERYTHING = {name: check for name, check in kit.checks("init").items() if check.__module__ == home.__name__}


def failed(part: Subject) -> dict[str, str]:
    outcomes = [kit.outcome(name, check, part) for name, check in EVERYTHING.items()]
    return {one.check: one.reason for one in outcomes if one.verdict == "failed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_exactly_its_checks(fault):
    target, expected = FAULTS[fault]
    found = failed(Subject("init", target, shape=(2, 3)))
    assert set(found) == expected, found
    assert not [reason for reason in found.values() if "\n" in reason]


def test_every_check_detects_a_fault():
    assert set().union(*(expected for _, expected in FAULTS.values())) == set(EVERYTHING)


@pytest.mark.parametrize("shape", [(2,), (1,), (3, 4, 4)], ids=str)
def test_a_valid_init_passes_every_check(shape):
    assert failed(Subject("init", Good, shape=shape)) == {}


@conforms("init", Uniform)
def test_uniform_conforms(check):
    check()


@conforms("init", Uniform, shape=(3, 8, 8), low=-0.5, high=2.0)
def test_uniform_on_images_conforms(check):
    check()


@conforms("init", Gaussian)
def test_gaussian_conforms(check):
    check()


@conforms("init", Gaussian, shape=(3, 8, 8), mean=0.3, scale=2.0)
def test_gaussian_on_images_conforms(check):
    check()


@conforms("init", DataInit)
def test_data_conforms(check):
    check()


@conforms("init", DataInit, shape=(3, 8, 8), noise=0.1)
def test_data_with_noise_conforms(check):
    check()


@conforms("init", ReplayBuffer, size=40)
def test_replay_conforms(check):
    check()


@conforms("init", ReplayBuffer, shape=(3, 8, 8), size=7, restart=0.5, base="gaussian")
def test_replay_with_restarts_conforms(check):
    check()


@conforms("init", FittedGaussian)
def test_fitted_conforms(check):
    check()


@conforms("init", FittedGaussian, shape=(3, 8, 8), scale=0.5)
def test_fitted_with_a_full_covariance_conforms(check):
    check()


@conforms("init", FittedGaussian, shape=(1, 5, 8), covariance="low_rank", rank=4, limit=100)
def test_fitted_of_low_rank_conforms(check):
    check()


@conforms("init", FittedGaussian, shape=(3, 7, 4), covariance="fourier")
def test_fitted_in_fourier_space_conforms(check):
    check()


@conforms("init", GaussianMixture)
def test_mixture_conforms(check):
    check()


@conforms("init", GaussianMixture, shape=(3, 4, 4), components=3, shrinkage=1.0)
def test_mixture_on_images_conforms(check):
    check()
