"""What a model itself says of examples, as lines of an evaluation."""

import math
from dataclasses import dataclass

import pytest
import torch

from ebmkit import ShortRun
from ebmkit.data import Examples
from ebmkit.energies.analytic import GaussianEnergy
from ebmkit.errors import UsageError
from ebmkit.evaluation.model_values import value_measures
from ebmkit.inits import Gaussian
from ebmkit.samplers import Langevin
from ebmkit.shortrun import ExampleValues

PARTS = (GaussianEnergy((2,)), Langevin(steps=2), Gaussian((2,)))
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Valued(ShortRun):
    lost: int = 0

    def values(self, x, rng, *, batch=64):
        return (ExampleValues("sum of x", x.sum(1)[self.lost :], 0.3, "a note"),)


def examples():
    return Examples(torch.arange(40.0).view(20, 2) + 100)


def test_the_mean_over_the_data_its_error_and_that_over_starts():
    (found,) = value_measures(Valued(*PARTS), examples(), CPU, n=20)
    sums = examples().fetch(torch.arange(20)).sum(1).double()
    assert found.name == "Mean sum of x of the data"
    assert found.value == pytest.approx(float(sums.mean()))
    assert found.error == pytest.approx(math.hypot(float(sums.std()) / math.sqrt(20), 0.3))
    assert found.real_against_real is None
    assert abs(found.noise_against_real) < 5  # of N(0, I): the data are near 239
    assert (found.n, found.note) == (20, "a note")


def test_the_examples_are_chosen_by_the_seed():
    means = [next(value_measures(Valued(*PARTS), examples(), CPU, n=5, seed=seed)).value for seed in (1, 1, 2)]
    assert means[0] == means[1] != means[2]


def test_most_models_have_no_values():
    assert list(value_measures(ShortRun(*PARTS), examples(), CPU, n=20)) == []


def test_a_wrong_number_of_values_or_examples_is_refused():
    with pytest.raises(ValueError, match=r"sum of x has shape \(39,\), expected \(40,\)"):
        list(value_measures(Valued(*PARTS, lost=1), examples(), CPU, n=20))
    with pytest.raises(UsageError, match="n must be"):
        list(value_measures(Valued(*PARTS), examples(), CPU, n=21))
