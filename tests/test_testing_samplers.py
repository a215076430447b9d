"""The kit's checks of samplers: right ones pass, and each planted fault is caught by the check that names it."""

import pytest
from faulty import samplers as faulty
from faulty.samplers import FAULTS, Exact, Plain

from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin
from ebmkit.testing import Failed, check_sampler, checks, conforms, examine, subject


@conforms("sampler", Plain)
def test_a_right_sampler_passes(check):
    check()


@conforms("sampler", Exact)
def test_a_right_sampler_with_a_target_passes(check):
    check()


@conforms("sampler", Langevin)
def test_langevin(check):
    check()


@conforms("sampler", Langevin, noise=0.0)
def test_langevin_without_noise(check):
    check()


@conforms("sampler", HMC)
def test_hmc(check):
    check()


@conforms("sampler", HMC, temperature=5e-5, step_size=0.01)
def test_hmc_at_the_papers_temperature(check):
    check()


@conforms("sampler", HMC, adjust=False)
def test_hmc_without_adjustment(check):
    check()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught_by_the_checks_that_name_it(name):
    sampler, caught = FAULTS[name]
    outcomes = list(examine(subject("sampler", sampler, None, {})))
    failed = {one.check: one.reason for one in outcomes if one.verdict == "failed"}
    assert set(failed) == caught
    assert all(reason and "\n" not in reason for reason in failed.values())


def test_every_check_catches_a_fault():
    everything = {name for name in checks("sampler") if not name.startswith("settings_")}
    assert set().union(*(caught for _, caught in FAULTS.values())) == everything


def test_the_door_of_the_kit_names_every_check_that_failed():
    with pytest.raises(Failed, match=r"^1 checks of this sampler failed:\n  chains_do_not_mend_nan: 64 of 64 examples"):
        check_sampler(faulty.MendsNan)
    check_sampler(Plain)


def test_promises_decide_what_is_checked():
    verdicts = {one.check: one.verdict for one in examine(subject("sampler", Plain, None, {}))}
    assert {name for name, verdict in verdicts.items() if verdict == "not promised"} == {
        faulty.LAW,
        faulty.BALANCE,
        faulty.NAN,
        faulty.INFINITY,
        "chains_move_towards_their_target",
        "rejected_examples_stay_where_they_are",
        "noiseless_chains_draw_nothing",
        "homogeneous_chains_can_be_cut",
        "chains_that_promise_it_translate",
    }
