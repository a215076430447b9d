"""The kit's checks of samplers: correct ones pass, also with extreme settings, and the reasons are specific."""

from dataclasses import dataclass

import pytest
import torch
from faulty.right import Exact, Plain
from faulty.samplers import ClimbsTheEnergy, IgnoresTheEnergy

from ebmkit.errors import UsageError
from ebmkit.interfaces import Promises, Sampler, State, energy_values, eval_mode, noise_like, per_example
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin
from ebmkit.testing import (
    Failed,
    conforms,
    descent,
    examine,
    invariance,
    probes,
    randomness,
    subject,
    targets,
)

RANDOM = (randomness.chains_differ_with_another_seed, randomness.chains_have_independent_noise)


@dataclass(frozen=True, kw_only=True)
class Walk(Sampler):
    """The Metropolis random walk, which takes no gradients.

    Args:
        width: Standard deviation of a proposal.
        steps: K, the length of one chain.
    """

    width: float = 0.5
    steps: int = 20

    def __post_init__(self):
        if not self.width > 0:
            raise UsageError(f"width must be above 0, not {self.width}")

    @property
    def promises(self):
        return Promises(temperature=1.0, reversible=True, gradients=0)

    def chain(self, energy, x, rng):
        value = seen(energy, x)
        for _ in range(self.steps):
            end = x + self.width * noise_like(x, rng)
            value_end = seen(energy, end)
            uniform = torch.rand(value.shape, generator=rng, dtype=value.dtype, device=x.device)
            keep = value_end.isfinite() & value.isfinite() & (uniform.log() < value - value_end)
            yield State(x := torch.where(per_example(x, keep), end, x), {"energy": value, "accepted": keep})
            value = torch.where(keep, value_end, value)


def seen(energy, x):
    with eval_mode(energy):
        value = energy_values(energy, x)
    return value if x.requires_grad else value.detach()


class Stubborn(Exact):
    def __init__(self):
        super().__init__(steps=50)


class Endless(Sampler):
    """Twelve correct steps and a wrong one; it has no setting `steps`."""

    promises = Promises(temperature=1.0)

    def chain(self, energy, x, rng):
        for state in Exact(steps=12).chain(energy, x, rng):
            x = state.x
            yield state
        yield State(0.9 * x, {})


@conforms("sampler", Walk)
def test_a_valid_sampler_without_gradients_passes(check):
    check()


@conforms("sampler", Walk, width=1e-9)
def test_a_valid_sampler_with_tiny_steps_passes(check):
    check()


@conforms("sampler", Plain)
def test_a_valid_sampler_passes(check):
    check()


@conforms("sampler", Exact)
def test_a_valid_sampler_with_a_target_passes(check):
    check()


@conforms("sampler", Langevin)
def test_langevin_conforms(check):
    check()


@conforms("sampler", Langevin, noise=0.0)
def test_langevin_without_noise_conforms(check):
    check()


@conforms("sampler", HMC)
def test_hmc_conforms(check):
    check()


@conforms("sampler", HMC, temperature=5e-5, step_size=0.01)
def test_hmc_at_the_paper_temperature_conforms(check):
    check()


@conforms("sampler", HMC, adjust=False)
def test_hmc_without_adjustment_conforms(check):
    check()


# Settings for which an earlier kit reported errors in a correct sampler.
ODD = [
    (HMC, {"step_size": 1e-6}),
    (HMC, {"step_size": 1e3}),
    (HMC, {"temperature": 1e3, "step_size": 1e-3}),
    (Langevin, {"step_size": 1e-6}),
    (Langevin, {"step_size": 0.01, "noise": 4.5}),
    (Langevin, {"clamp": (0.0, 1.0)}),
]


@pytest.mark.parametrize(("sampler", "settings"), ODD, ids=str)
def test_a_valid_sampler_passes_with_extreme_settings(sampler, settings):
    part = subject("sampler", sampler, None, settings)
    for check in (descent.chains_go_down_in_energy, *RANDOM):
        check(part)


@pytest.mark.parametrize("sampler", [IgnoresTheEnergy, ClimbsTheEnergy])
def test_the_slope_reports_climbing_and_ignoring_chains(sampler):
    words = "ignores the energy" if sampler is IgnoresTheEnergy else "should go down"
    with pytest.raises(Failed, match=words):
        descent.chains_go_down_in_energy(subject("sampler", sampler, None, {}))


def test_a_diverging_chain_is_reported_as_that_only():
    part = subject("sampler", Langevin, None, {"step_size": 1e30})
    failed = {one.check: one.reason for one in examine(part) if one.verdict == "failed"}
    assert "chains_differ_with_another_seed" in failed
    assert set(failed.values()) == {probes.DIVERGED}


@pytest.mark.parametrize("width", [1e-17, 1e-9, 1.0, 1e9, 1e17])
def test_the_scale_follows_the_sampler_over_many_orders(width):
    scale = targets.hard_scale(Walk(width=width), 1.0)
    assert 0.5 < scale / width < 4


def test_a_sampler_without_steps_is_run_to_its_end():
    with pytest.raises(Failed, match="standard errors off"):
        invariance.each_step_leaves_its_target_invariant(subject("sampler", Endless, None, {}))


def test_chains_are_shortened_only_by_a_setting():
    def steps(sampler, **settings):
        made = invariance._short(subject("sampler", sampler, None, settings))
        return made.steps

    assert steps(Exact, steps=7) == 7
    assert steps(Exact, steps=50) == invariance.STEPS
    assert steps(Stubborn) == 50
