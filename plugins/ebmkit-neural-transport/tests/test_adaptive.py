"""The sampler that adapts: its step size reaches the target, and is saved, frozen and the same within a chain."""

import math

import pytest
import torch
from ebmkit_neural_transport.adaptive import AdaptiveHMC

from ebmkit import UsageError
from ebmkit.methods import follow
from ebmkit.samplers import HMC


def half_square(x):
    return x.square().flatten(1).sum(1) / 2


def accepted(sampler, d=20, seed=0):
    """The acceptance rate of a batch of chains that begin in equilibrium."""
    rng = torch.Generator().manual_seed(seed)
    start = torch.randn(200, d, generator=rng)
    return float(follow(start, sampler.chain(half_square, start, rng))[1]["accepted"])


def adapted(updates, **settings):
    sampler = AdaptiveHMC(**settings)
    for update in range(updates):
        sampler.adapt(accepted(sampler, seed=update))
    return sampler


def test_the_step_size_adapts_to_the_acceptance_rate():
    for target in (0.6, 0.9):
        sampler = adapted(60, step_size=0.05, target=target)
        assert accepted(sampler.frozen, seed=1000) == pytest.approx(target, abs=0.05)
    assert accepted(AdaptiveHMC(step_size=0.05)) > 0.98  # as it was before


def test_the_step_size_follows_the_formula():
    sampler, missing, log_average = AdaptiveHMC(step_size=0.1, target=0.7), 0.0, math.log(0.1)
    for m, rate in enumerate([0.9, 0.2, 0.75], 1):
        sampler.adapt(rate)
        missing += 0.7 - rate
        log_step = math.log(1.0) - math.sqrt(m) / 0.05 / (m + 10) * missing
        log_average = m**-0.75 * log_step + (1 - m**-0.75) * log_average
    assert sampler.log_step == pytest.approx(log_step)
    assert sampler.frozen.step_size == pytest.approx(math.exp(log_average))


@pytest.mark.parametrize(("size", "leapfrogs"), [(0.3, 5), (0.4, 4), (1.0, 2), (1.9, 1), (0.01, 5)])
def test_the_length_of_a_trajectory_does_not_depend_on_the_step_size(size, leapfrogs):
    assert AdaptiveHMC(step_size=size, length=1.6).frozen.leapfrog == leapfrogs
    assert AdaptiveHMC(steps=3, step_size=size, length=1.6).promises.gradients == 3 * leapfrogs + 1


def test_chains_do_not_change_the_sampler():
    sampler = adapted(3)
    before = sampler.state_dict()["adaptation"]
    one, other = accepted(sampler), accepted(sampler)
    assert one == other
    assert torch.equal(sampler.state_dict()["adaptation"], before)


def test_the_adaptation_is_saved_and_restored():
    sampler, other = adapted(5), AdaptiveHMC()
    other.load_state_dict(sampler.state_dict())
    for one in (sampler, other):
        one.adapt(0.4)
    assert other == sampler
    assert other.log_step == sampler.log_step
    assert other.frozen == sampler.frozen != AdaptiveHMC().frozen


def test_a_longer_chain_has_the_same_adaptation():
    sampler = adapted(5)
    longer = sampler.with_steps(50)
    assert longer.steps == 50
    assert longer.frozen.step_size == sampler.frozen.step_size


def test_without_adaptation_it_is_hmc():
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    one, other = (
        sampler.sample(half_square, x, torch.Generator().manual_seed(2))
        for sampler in (AdaptiveHMC(steps=4, step_size=0.4), HMC(steps=4, step_size=0.4, leapfrog=4))
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("setting", ["steps", "step_size", "length", "leapfrog", "target"])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(UsageError, match=f"^{setting} must be"):
        AdaptiveHMC(**{setting: 0})
