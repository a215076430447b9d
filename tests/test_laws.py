"""Every law of the table holds, and its test detects every mutant."""

import math

import pytest
from laws.table import LAWS
from laws.walls import Walled

# Two-sided, 5 standard errors are exceeded by chance once in 1.7 million tests.
LIMIT = 5
MUTANTS = [pytest.param(law, law.mutants[mutant], id=f"{law.name}: {mutant}") for law in LAWS for mutant in law.mutants]


@pytest.mark.parametrize("law", LAWS, ids=[law.name for law in LAWS])
def test_the_law_holds(law):
    assert abs(law.z()) < LIMIT


@pytest.mark.parametrize(("law", "wrong"), MUTANTS)
def test_the_test_of_the_law_detects_its_mutant(law, wrong):
    assert abs(law.z(**wrong)) > LIMIT


def test_every_law_has_a_unique_name_and_mutants():
    assert len({law.name for law in LAWS}) == len(LAWS)
    assert all(law.mutants for law in LAWS)


def test_the_moments_between_walls_are_exact():
    # A normal distribution truncated at c has mean -φ(c)/Φ(c) and variance 1 + c mean - mean².
    mean = -math.exp(-2) / math.sqrt(2 * math.pi) / ((1 + math.erf(math.sqrt(2))) / 2)
    variance = 1 + 2 * mean - mean**2
    assert (mean, variance) == (pytest.approx(-0.0552, abs=1e-4), pytest.approx(0.886, abs=1e-3))
    assert Walled(0.0, 1.0, -math.inf, 2.0, math.nan).moments() == pytest.approx((mean, variance), abs=1e-6)
