"""Annealed: its schedule, its exact distribution on a Gaussian, and its settings."""

import math
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pytest
import torch
from ebmkit_annealed.sampler import Annealed
from torch import Generator, Tensor

from ebmkit import UsageError, noise_like
from ebmkit.testing import conforms

N = 100_000
PRECISION, MEAN, SCALE = 0.8, 0.7, 1.3
SETTINGS: dict[str, Any] = {"steps": 8, "step_size": 0.15, "noise": 0.5, "final_noise": 0.1}


@conforms("sampler", Annealed, steps=10)
def test_annealed_conforms(check: Callable[[], None]):
    check()


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(x: Tensor) -> Tensor:
    """The energy of N(0, 1 / PRECISION)."""
    return PRECISION * x.square().flatten(1).sum(1) / 2


def moments_z(sampler: Annealed) -> float:
    """The larger |z| of the mean and the variance of the ends of `sampler`, against the chain with SETTINGS."""
    generator = rng(11)
    mean, variance = MEAN, SCALE**2
    keep, last = 1 - SETTINGS["step_size"] * PRECISION, SETTINGS["steps"] - 1
    for k in range(SETTINGS["steps"]):
        noise = (SETTINGS["noise"] * (last - k) + SETTINGS["final_noise"] * k) / last
        mean, variance = keep * mean, keep**2 * variance + noise**2
    start = MEAN + SCALE * torch.randn(N, 1, generator=generator, dtype=torch.float64)
    offset = sampler.sample(gaussian, start, generator) - mean
    both = torch.cat([offset, offset.square() - variance], dim=1)
    return float((both.mean(0) / (both.std(0) / math.sqrt(N))).abs().max())


def test_the_distribution_after_k_steps_on_a_gaussian_is_exact():
    assert moments_z(Annealed(**SETTINGS)) < 5


@pytest.mark.parametrize(
    "mutant",
    [
        {"final_noise": SETTINGS["noise"]},
        {"noise": 0.3, "final_noise": 0.3},
        {"final_noise": 0.0},
        {"steps": 7},
        {"steps": 9},
        {"step_size": 0.075},
    ],
    ids=str,
)
def test_the_test_of_the_distribution_detects_mutants(mutant: dict[str, Any]):
    assert moments_z(Annealed(**SETTINGS | mutant)) > 5


def test_the_noise_decreases_linearly_along_the_chain():
    drawn, x = rng(5), torch.zeros(4, 3)
    levels = [0.4, 0.3, 0.2, 0.1, 0.0]
    states = Annealed(steps=5, noise=0.4).chain(lambda x: 0 * x.sum(1), x, rng(5))
    for state, level in zip(states, levels, strict=True):
        torch.testing.assert_close(state.x - x, level * noise_like(x, drawn))
        x = state.x


def test_a_single_step_has_the_first_noise():
    x = torch.zeros(4, 3)
    end = Annealed(steps=1, noise=0.4).sample(lambda x: 0 * x.sum(1), x, rng(5))
    torch.testing.assert_close(end, 0.4 * noise_like(x, rng(5)))


def test_only_the_same_seed_gives_the_same_chain():
    x, sampler = torch.ones(3, 2), Annealed(steps=4, step_size=0.1)
    assert torch.equal(sampler.sample(gaussian, x, rng(1)), sampler.sample(gaussian, x, rng(1)))
    assert not torch.equal(sampler.sample(gaussian, x, rng(1)), sampler.sample(gaussian, x, rng(2)))


def test_a_chain_of_k_steps_takes_k_gradients():
    calls = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return gaussian(x)

    states = list(Annealed(steps=6).chain(counted, torch.ones(3, 2), rng()))
    assert (calls, len(states)) == (6, 6)


def test_a_state_has_energy_and_gradient_before_its_step():
    x = torch.ones(3, 2)
    for state in Annealed(steps=3, step_size=0.1).chain(gaussian, x, rng()):
        torch.testing.assert_close(state.info["energy"], gaussian(x))
        torch.testing.assert_close(state.info["gradient"], PRECISION * x)
        x = state.x


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"step_size": 0.0},
        {"step_size": math.inf},
        {"noise": -0.1, "final_noise": -0.2},
        {"noise": math.nan},
        {"final_noise": -0.1},
        {"final_noise": 0.2, "noise": 0.1},
        {"final_noise": math.nan},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        Annealed(**settings)
    assert "\n" not in str(caught.value)


def test_no_temperature_is_implied():
    assert Annealed().implied_temperature is None


def test_the_entry_point_names_the_sampler():
    (entry,) = entry_points(group="ebmkit", name="annealed")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    assert module.samplers() == {"annealed": f"{Annealed.__module__}:{Annealed.__qualname__}"}


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_annealed; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
