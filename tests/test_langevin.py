"""Langevin: the loop of the paper, and its bounds; its distribution is tested in laws/langevin.py."""

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.energies.convnet import ConvNet
from ebmkit.errors import UsageError
from ebmkit.interfaces import noise_like
from ebmkit.samplers.langevin import Langevin


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


# An untrained network pulls weakly; a stronger one makes the drift as large as the noise, and amplifies rounding.
@pytest.mark.parametrize(("dtype", "strength"), [(torch.float32, 3), (torch.float64, 30)], ids=str)
def test_the_chain_is_the_loop_of_the_paper(dtype: torch.dtype, strength: float):
    torch.manual_seed(0)
    energy = ConvNet((3, 32, 32), width=4).to(dtype)
    start = torch.rand(2, 3, 32, 32, generator=rng(), dtype=dtype) * 2 - 1
    with torch.no_grad():
        energy.layers[-1].weight.mul_(strength)

    generator = rng(5)
    x, drift = start.clone().requires_grad_(), torch.zeros_like(start)
    for _ in range(100):
        f = -energy(x)
        (pull,) = torch.autograd.grad(f.sum(), [x])
        drift += pull
        x.data += 1.0 * pull + 0.01 * torch.randn(x.shape, generator=generator, dtype=dtype)

    end = Langevin(steps=100, step_size=1.0, noise=0.01).sample(energy, start, rng(5))
    assert drift.abs().max() > 0.1
    torch.testing.assert_close(end, x.detach(), rtol=0, atol=1e-5)


def test_the_implied_temperature_is_that_of_the_discretisation():
    assert Langevin(step_size=0.005, noise=0.12).implied_temperature == pytest.approx(0.12**2 / (2 * 0.005))
    assert Langevin().implied_temperature == pytest.approx(5e-5)


def test_without_noise_nothing_is_drawn():
    generator = rng(4)
    before = generator.get_state()
    end = Langevin(steps=3, step_size=0.1, noise=0).sample(square, torch.ones(2, 3), generator)
    assert torch.equal(generator.get_state(), before)
    torch.testing.assert_close(end, torch.full((2, 3), 0.9**3))


def test_clip_bounds_each_element_of_the_drift():
    x = torch.tensor([[10.0, -10.0, 0.1]])
    end = Langevin(steps=1, step_size=0.5, noise=0, clip=0.3).sample(square, x, rng())
    torch.testing.assert_close(end, torch.tensor([[9.7, -9.7, 0.05]]))


def test_clip_norm_bounds_each_example_and_keeps_directions():
    x = torch.stack([torch.full((2, 2), 10.0), torch.full((2, 2), 0.1), torch.zeros(2, 2)])
    end = Langevin(steps=1, step_size=0.5, noise=0, clip_norm=1.0).sample(square, x, rng())
    torch.testing.assert_close(end[0], torch.full((2, 2), 9.5))
    torch.testing.assert_close(end[1], torch.full((2, 2), 0.05))
    assert torch.equal(end[2], torch.zeros(2, 2))


def test_bounds_on_the_drift_do_not_bound_the_noise():
    plain = noise_like(torch.zeros(2, 3), rng(6))
    end = Langevin(steps=1, noise=5.0, clip=0.01, clip_norm=0.01).sample(square, torch.zeros(2, 3), rng(6))
    torch.testing.assert_close(end, 5 * plain)


def test_a_clamped_chain_stays_in_the_range():
    sampler = Langevin(steps=20, step_size=0.01, noise=1.0, clamp=(-0.5, 0.25))
    free = Langevin(steps=20, step_size=0.01, noise=1.0)
    x = torch.zeros(50, 3)
    for state in sampler.chain(square, x, rng()):
        assert state.x.min() >= -0.5
        assert state.x.max() <= 0.25
    assert free.sample(square, x, rng()).abs().max() > 1


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": -3},
        {"step_size": 0.0},
        {"step_size": -1.0},
        {"noise": -0.1},
        {"noise": math.nan},
        {"noise": math.inf},
        {"noise_end": -0.1},
        {"noise_end": 0.02},
        {"noise_end": math.nan},
        {"clip": 0.0},
        {"clip_norm": -1.0},
        {"clip_norm": math.nan},
        {"clamp": (1.0, -1.0)},
        {"clamp": (0.0, 0.0)},
        {"clamp": (0.0, math.nan)},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))}.* must be ") as caught:
        Langevin(**settings)
    assert "\n" not in str(caught.value)
