"""Langevin with noise that falls along the chain: its values, and what such a sampler still promises."""

import pytest
import torch
from commands import SMALL, metrics, train
from torch import Generator, Tensor

from ebmkit.energies.convnet import ConvNet
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import noise_like
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun
from ebmkit.testing import conforms

FALLING = Langevin(steps=5, step_size=0.1, noise=0.4, noise_end=0.0)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def flat(x: Tensor) -> Tensor:
    return 0 * x.flatten(1).sum(1)


def noises(sampler: Langevin) -> list[float]:
    """The noise of each step, measured where there is no drift."""
    x, found = torch.zeros(200, 500), []
    for state in sampler.chain(flat, x, rng()):
        found.append(float((state.x - x).std()))
        x = state.x
    return found


def test_the_noise_falls_linearly_to_its_end():
    assert noises(FALLING) == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0], rel=0.02)
    assert noises(Langevin(steps=3, noise=0.4, noise_end=0.2)) == pytest.approx([0.4, 0.3, 0.2], rel=0.02)


def test_without_an_end_the_noise_is_constant():
    end = Langevin(steps=3, noise=0.4).sample(flat, torch.zeros(2, 3), rng(1))
    generator, x = rng(1), torch.zeros(2, 3)
    for _ in range(3):
        x.add_(noise_like(x, generator), alpha=0.4)
    assert torch.equal(end, x)
    assert torch.equal(Langevin(steps=3, noise=0.4, noise_end=0.4).sample(flat, torch.zeros(2, 3), rng(1)), x)


def test_a_shorter_chain_falls_to_the_same_end():
    assert noises(FALLING.with_steps(3)) == pytest.approx([0.4, 0.2, 0.0], rel=0.02)
    assert noises(FALLING.with_steps(1)) == pytest.approx([0.4], rel=0.02)


def test_falling_noise_implies_no_temperature():
    assert FALLING.implied_temperature is None
    assert Langevin(noise=0.4).implied_temperature is not None


def test_falling_noise_is_not_homogeneous():
    assert FALLING.promises.homogeneous is False
    assert Langevin(noise=0.4).promises.homogeneous is True
    assert FALLING.promises.gradients == 5
    assert FALLING.promises.stochastic is True


def test_without_its_noise_it_is_plain_descent():
    assert FALLING.noiseless == Langevin(steps=5, step_size=0.1, noise=0.0)


@conforms("sampler", Langevin, steps=4, step_size=0.1, noise=0.1, noise_end=0.01)
def test_langevin_with_falling_noise_conforms(check):
    check()


def test_such_a_model_reconstructs_and_runs_on():
    torch.manual_seed(0)
    model = ShortRun(ConvNet((1, 8, 8), width=4, activation="silu"), FALLING, Uniform((1, 8, 8)))
    found = model.reconstruct(torch.zeros(2, 1, 8, 8), rng(), updates=3)
    assert bool((found.error[-1] < found.error[0]).all())
    assert [point.step for point in model.long_run(2, rng(), times=3)] == [0, 5, 10, 15]


@pytest.mark.usefixtures("empty_folder")
def test_a_run_reports_neither_temperature_nor_noise_size():
    words = (*SMALL, "--iterations", "1")
    _, constant = train(*words, "--out", "constant", quiet=False)
    _, falling = train(*words, "-s", "sampler.noise_end=0", "--out", "falling", quiet=False)
    assert "target " in constant
    assert "target " not in falling
    assert "noise_size" in metrics("constant")[0]
    assert "noise_size" not in metrics("falling")[0]
