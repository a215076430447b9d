"""The kit's checks of samplers: each planted fault fails exactly its checks, and promises determine what is checked."""

import math

import numpy as np
import pytest
from faulty import FAULTS, planting
from faulty.objects import IsNotASampler
from faulty.right import Plain
from faulty.samplers import ReplacesNan

from ebmkit import Promises, UsageError
from ebmkit.testing import Failed, check_sampler, checks, examine, subject
from ebmkit.testing.kit import FIRST, HOMES


def test_only_the_first_checks_run_if_one_of_them_fails():
    outcomes = list(examine(subject("sampler", IsNotASampler, None, {})))
    assert [one.check for one in outcomes] == list(FIRST["sampler"])
    assert [one.verdict for one in outcomes] == ["failed", "passed", "passed"]


@pytest.mark.parametrize("kind", HOMES)
def test_the_first_checks_belong_to_the_kind(kind):
    assert list(checks(kind))[: len(FIRST[kind])] == list(FIRST[kind])


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"temperature": math.inf}, "temperature must be above 0, not inf"),
        ({"temperature": "hot"}, "temperature must be a number above 0 or None, not 'hot'"),
        ({"temperature": True}, "temperature must be a number above 0 or None, not True"),
        ({"gradients": -1}, "gradients must be at least 0, not -1"),
        ({"gradients": 2.5}, "gradients must be an integer or None, not 2.5"),
        ({"stochastic": "no"}, "stochastic must be True or False, not 'no'"),
        ({"homogeneous": None}, "homogeneous must be True or False, not None"),
        ({"translates": None}, "translates must be True or False, not None"),
        ({"reversible": None}, "reversible must be True or False, not None"),
        ({"reversible": True}, r"write Promises\(temperature=T, reversible=True\)"),
    ],
    ids=str,
)
def test_impossible_promises_are_refused(promise, words):
    with pytest.raises(UsageError, match=words) as caught:
        Promises(**promise)
    assert "\n" not in str(caught.value)


def test_possible_promises_are_accepted():
    Promises(temperature=5e-5, reversible=True, gradients=0, stochastic=np.float64(0.1) > 0)
    assert Promises(temperature=1).temperature == 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_exactly_its_checks(name):
    sampler, caught = FAULTS[name]
    outcomes = list(examine(subject("sampler", sampler, None, {})))
    failed = {one.check: one.reason for one in outcomes if one.verdict == "failed"}
    assert set(failed) == caught
    assert all(reason and "\n" not in reason for reason in failed.values())


def test_every_check_detects_a_fault():
    everything = {name for name in checks("sampler") if not name.startswith("settings_")}
    assert set().union(*(caught for _, caught in FAULTS.values())) == everything


def test_check_sampler_names_every_failed_check():
    with pytest.raises(
        Failed, match=r"^1 checks of this sampler failed:\n  chains_do_not_replace_nan: 64 of 64 examples"
    ):
        check_sampler(ReplacesNan)
    check_sampler(Plain)


def test_promises_determine_what_is_checked():
    verdicts = {one.check: one.verdict for one in examine(subject("sampler", Plain, None, {}))}
    assert {name for name, verdict in verdicts.items() if verdict == "not promised"} == {
        planting.INVARIANT,
        planting.BALANCE,
        planting.NAN,
        planting.INFINITY,
        planting.CONTROL,
        "rejected_examples_do_not_move",
        "noiseless_chains_draw_nothing",
        "homogeneous_chains_can_be_split",
        "chains_translate_as_promised",
    }
