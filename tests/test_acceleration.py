"""Chains in bfloat16: the same energy to rounding, and nothing else changed."""

import copy

import pytest
import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration import LowPrecision
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import value_and_grad
from ebmkit.samplers.langevin import Langevin
from ebmkit.training import Trainer

SHAPE = (1, 8, 8)
EPSILON = 2.0**-8  # unit roundoff of bfloat16


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def images(n: int = 16) -> Tensor:
    return torch.rand(n, *SHAPE, generator=rng()) * 2 - 1


def network() -> ConvNet:
    # A smooth activation: at a kink, rounding can turn a slope into another.
    torch.manual_seed(0)
    return ConvNet(SHAPE, width=4, activation="silu")


def relative(approximate: Tensor, exact: Tensor) -> float:
    return float((approximate - exact).norm() / exact.norm())


def test_energy_and_gradient_agree_to_the_rounding_of_bfloat16():
    energy, x = network(), images()
    value, gradient = value_and_grad(energy, x)
    low_value, low_gradient = value_and_grad(LowPrecision(energy), x)
    # Three layers, each of which rounds its weights, its input and its output.
    assert 0 < relative(low_value, value) < 9 * EPSILON
    assert 0 < relative(low_gradient, gradient) < 9 * EPSILON


def test_what_it_gives_is_in_the_precision_of_the_examples():
    low = LowPrecision(network())
    for x in (images(), images().double()):
        value, gradient = value_and_grad(low, x)
        assert value.dtype == gradient.dtype == low(x).dtype == x.dtype
        assert gradient.shape == x.shape


def test_a_module_that_gives_a_column_is_taken():
    energy = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    value, gradient = value_and_grad(LowPrecision(energy), images())
    assert value.shape == (16,)
    assert gradient.shape == images().shape


def test_state_and_noise_stay_in_single_precision():
    low, start = LowPrecision(network()), images()
    (state,) = Langevin(steps=1, step_size=0.01, noise=0.1).chain(low, start, rng(1))
    noise = torch.randn(start.shape, generator=rng(1))
    assert state.x.dtype == torch.float32
    assert torch.equal(state.x, start - 0.01 * state.info["gradient"] + 0.1 * noise)
    assert not torch.equal(state.x, state.x.bfloat16().float())


def test_the_energy_is_left_untouched():
    energy = network()
    before = copy.deepcopy(energy)
    low = LowPrecision(energy)
    low.refreshed(energy)
    value_and_grad(low, images())
    assert energy.training
    for mine, kept in zip(energy.parameters(), before.parameters(), strict=True):
        assert mine.dtype == torch.float32
        assert mine.requires_grad
        assert mine.grad is None
        assert torch.equal(mine, kept)
        assert mine.stride() == kept.stride()


def test_new_weights_and_buffers_are_taken_up_when_it_is_refreshed_and_not_before():
    torch.manual_seed(0)
    energy = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    low = LowPrecision(energy)
    old = low(images())
    energy(images())
    with torch.no_grad():
        energy[1].weight.mul_(2)
    assert torch.equal(low(images()), old)
    assert low.refreshed(energy) is low
    assert torch.equal(low(images()), LowPrecision(energy)(images()))
    assert not torch.equal(low(images()), old)


def test_the_trainer_refreshes_once_per_chain():
    energy = MLP((2,), width=4, depth=1)
    low, count = LowPrecision(energy), 0

    def accelerate(model: nn.Module) -> LowPrecision:
        nonlocal count
        count += 1
        return low.refreshed(model)

    optimizer = torch.optim.SGD(energy.parameters(), lr=0.5)
    training = Trainer(energy, Langevin(steps=5), Uniform((2,)), optimizer, rng(), accelerate=accelerate)
    for update in range(1, 4):
        weights = [parameter.detach().bfloat16() for parameter in energy.parameters()]
        step = training.step(torch.rand(8, 2, generator=rng(update)))
        assert count == update
        # The chains of this update ran on the weights from before it.
        assert all(map(torch.equal, low.twin.parameters(), weights))
        assert step.fake.dtype == torch.float32
    assert not all(map(torch.equal, low.twin.parameters(), [p.bfloat16() for p in energy.parameters()]))


def test_the_updates_of_the_weights_are_in_single_precision():
    energy = network()
    optimizer = torch.optim.SGD(energy.parameters(), lr=0.1)
    sampler = Langevin(steps=2)
    training = Trainer(energy, sampler, Uniform(SHAPE), optimizer, rng(), accelerate=LowPrecision(energy).refreshed)
    before = copy.deepcopy(energy)
    step = training.step(images())
    assert torch.equal(step.real_energy, before(images()).detach())
    assert torch.equal(step.fake_energy, before(step.fake).detach())
    assert all(parameter.grad.dtype == torch.float32 for parameter in energy.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_the_twin_is_always_in_evaluation_mode(training):
    energy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 1)).train(training)
    low = LowPrecision(energy)
    assert torch.equal(low(images()), low(images()))
    assert all(module.training is training for module in energy.modules())
