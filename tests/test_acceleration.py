"""An energy's stand-in in chains: the same energy, to the rounding that is asked for, and nothing else changed."""

import copy
import pickle

import pytest
import torch
from networks import (
    SHAPE,
    image_energy,
    images,
    low_precision,
    network,
    relative,
    rng,
)
from torch import nn

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import value_and_grad
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.samplers.langevin import Langevin

EPSILON = 2.0**-8  # unit roundoff of bfloat16


def test_results_agree_to_the_rounding_of_bfloat16():
    energy, x = network(), images()
    value, gradient = value_and_grad(energy, x)
    low_value, low_gradient = value_and_grad(low_precision(energy), x)
    # Three layers, each of which rounds its weights, its input and its output.
    assert 0 < relative(low_value, value) < 9 * EPSILON
    assert 0 < relative(low_gradient, gradient) < 9 * EPSILON


def test_what_it_gives_is_in_the_precision_of_the_examples():
    low = low_precision(network())
    for x in (images(), images().double()):
        value, gradient = value_and_grad(low, x)
        assert value.dtype == gradient.dtype == x.dtype
        assert gradient.shape == x.shape


def test_a_module_that_gives_a_column_is_taken():
    energy = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    value, gradient = value_and_grad(low_precision(energy), images())
    assert value.shape == (16,)
    assert gradient.shape == images().shape


def test_state_and_noise_stay_in_single_precision():
    low, start = low_precision(network()), images()
    (state,) = Langevin(steps=1, step_size=0.01, noise=0.1).chain(low, start, rng(1))
    noise = torch.randn(start.shape, generator=rng(1))
    assert state.x.dtype == torch.float32
    assert torch.equal(state.x, torch.add(start - 0.01 * state.info["gradient"], noise, alpha=0.1))
    assert not torch.equal(state.x, state.x.bfloat16().float())


def test_the_energy_is_left_untouched():
    energy = network()
    before = copy.deepcopy(energy)
    low = low_precision(energy)
    low.refreshed(energy)
    value_and_grad(low, images())
    assert energy.training
    for mine, kept in zip(energy.parameters(), before.parameters(), strict=True):
        assert mine.dtype == torch.float32
        assert mine.requires_grad
        assert mine.grad is None
        assert torch.equal(mine, kept)
        assert mine.stride() == kept.stride()


def test_weights_and_buffers_count_from_the_refresh_on():
    torch.manual_seed(0)
    energy = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    low = low_precision(energy)
    old = low.value_and_grad(images())[0]
    energy(images())
    with torch.no_grad():
        energy[1].weight.mul_(2)
    assert torch.equal(low.value_and_grad(images())[0], old)
    assert low.refreshed(energy) is low
    assert torch.equal(low.value_and_grad(images())[0], low_precision(energy).value_and_grad(images())[0])
    assert not torch.equal(low.value_and_grad(images())[0], old)


def test_the_trainer_refreshes_once_per_chain():
    energy = MLP((2,), width=4, depth=1)
    low, count = low_precision(energy), 0

    def accelerate(model: nn.Module) -> Accelerated:
        nonlocal count
        count += 1
        return low.refreshed(model)

    optimizer = torch.optim.SGD(energy.parameters(), lr=0.5)
    training = Trainer(energy, Langevin(steps=5), Uniform((2,)), optimizer, rng(), accelerate=accelerate)
    for update in range(1, 4):
        weights = [parameter.detach().bfloat16() for parameter in energy.parameters()]
        made = training.update(torch.rand(8, 2, generator=rng(update)))
        assert count == update
        # The chains of this update ran on the weights from before it.
        assert all(map(torch.equal, low.twin.network.parameters(), weights))
        assert made.fake.dtype == torch.float32
    assert not all(map(torch.equal, low.twin.network.parameters(), [p.bfloat16() for p in energy.parameters()]))


def test_updates_are_in_single_precision():
    energy = network()
    optimizer = torch.optim.SGD(energy.parameters(), lr=0.1)
    sampler = Langevin(steps=2)
    training = Trainer(energy, sampler, Uniform(SHAPE), optimizer, rng(), accelerate=low_precision(energy).refreshed)
    before = copy.deepcopy(energy)
    update = training.update(images())
    assert torch.equal(update.real_energy, before(images()).detach())
    assert torch.equal(update.fake_energy, before(update.fake).detach())
    assert all(parameter.grad.dtype == torch.float32 for parameter in energy.parameters())


def test_called_it_is_the_energy_in_evaluation_mode():
    energy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 1))
    assert torch.equal(low_precision(energy)(images()), copy.deepcopy(energy).eval()(images()))
    assert energy.training


@pytest.mark.parametrize("training", [True, False])
def test_the_twin_is_always_in_evaluation_mode(training):
    energy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 1)).train(training)
    low = low_precision(energy)
    assert torch.equal(low.value_and_grad(images())[0], low.value_and_grad(images())[0])
    assert all(module.training is training for module in energy.modules())


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match=r"precision must be fp32 \| bf16 \| tf32, not 'fp16'"):
        Accelerated(network(), precision="fp16")


def test_it_says_of_the_energy_whether_it_is_piecewise_linear():
    assert Accelerated(image_energy()).piecewise_linear
    assert not Accelerated(network()).piecewise_linear


def test_copies_and_moved_ones_compute_what_their_energy_does():
    energy, x = image_energy(), images()
    fast = Accelerated(energy)
    expected = fast.value_and_grad(x)
    other = copy.deepcopy(fast)
    assert all(map(torch.equal, other.value_and_grad(x), expected))
    assert other.energy is not energy
    assert all(map(torch.equal, pickle.loads(pickle.dumps(fast)).value_and_grad(x), expected))
    fast.double()
    value, gradient = fast.value_and_grad(x.double())
    assert value.dtype == gradient.dtype == torch.float64
    torch.testing.assert_close(gradient.float(), expected[1])
    assert fast.twin.replay(x.double()) is not None
