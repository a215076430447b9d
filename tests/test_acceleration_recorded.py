"""Recorded passes in fp32: nothing is rounded, and what is recorded is what autograd computes."""

import pytest
import torch
from networks import ENERGIES, SHAPE, Counting, agree, image_energy, images, network, rng
from torch import Tensor, nn

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.acceleration.twin import SHAPES
from ebmkit.energies.mlp import MLP
from ebmkit.interfaces import value_and_grad
from ebmkit.samplers.langevin import Langevin


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ENERGIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_and_gradient_are_those_of_autograd(name, dtype):
    energy = ENERGIES[name]().to(dtype)
    fast = Accelerated(energy)
    for seed in range(3):
        x = torch.randn(5, *SHAPE, generator=rng(seed), dtype=dtype)
        value, gradient = value_and_grad(fast, x)
        expected, slope = value_and_grad(energy, x)
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-12}
        torch.testing.assert_close(value, expected, **tolerance)
        torch.testing.assert_close(gradient, slope, **tolerance)
        assert not value.requires_grad
        assert not gradient.requires_grad


def test_the_passes_are_recorded_once_for_each_shape():
    energy = Counting(image_energy())
    fast = Accelerated(energy)
    for n in (3, 3, 5, 3, 5):
        fast.value_and_grad(images(n))
    # One pass to record and one to compare with, for each of two shapes.
    # And those of the witness.
    assert Counting.passes == 4 + 2
    for n in (3, 5):
        fast.refreshed(energy).value_and_grad(images(n))
    # And one through the energy, forward only, to see before a chain that it is the one that was recorded.
    assert Counting.passes == 6 + 2


def test_only_so_many_shapes_are_kept():
    fast = Accelerated(MLP((2,), width=4, depth=1))
    for n in range(1, 2 * SHAPES):
        fast.value_and_grad(torch.ones(n, 2))
    assert [key[0][0] for key in fast.twin.replays] == [*range(SHAPES, 2 * SHAPES)]


@pytest.mark.parametrize("name", ENERGIES)
def test_new_weights_reach_recorded_passes_at_the_refresh(name):
    energy, x = ENERGIES[name](), torch.randn(4, *SHAPE, generator=rng())
    fast = Accelerated(energy)
    old = fast.value_and_grad(x)
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(1)))
    assert all(map(torch.equal, fast.value_and_grad(x), old))
    new = fast.refreshed(energy).value_and_grad(x)
    assert not torch.equal(new[1], old[1])
    for mine, theirs in zip(new, value_and_grad(energy, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_chain_can_be_differentiated_through_it():
    energy = network()
    z = images(2).requires_grad_()
    ends = [Langevin(steps=2, noise=0).sample(one, z, rng()) for one in (Accelerated(energy), energy)]
    slopes = [torch.autograd.grad(end.square().sum(), z)[0] for end in ends]
    assert torch.allclose(*slopes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_every_grad_mode_gets_ordinary_tensors(mode):
    energy = image_energy()
    fast, expected = Accelerated(energy), value_and_grad(energy, images())[1]
    with mode():
        x = images()
        results = [fast.value_and_grad(x) for _ in range(2)]
    for value, gradient in results:
        assert torch.allclose(gradient, expected, atol=1e-5)
        assert not value.is_inference()
        assert not gradient.is_inference()


def test_what_it_gives_may_be_written_to():
    # The gradient of the first is a constant, that of the second is x, and the third gives its argument back.
    for energy in (Linear(), HalfSquare(), Itself()):
        fast, x = Accelerated(energy), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        expected = [one.clone() for one in fast.value_and_grad(x)]
        for _ in range(2):
            for one, kept in zip(fast.value_and_grad(x), expected, strict=True):
                assert torch.equal(one, kept)
                one.fill_(7.0)
        assert torch.equal(x, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


class Linear(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.tensor([1.0, -2.0])


class HalfSquare(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * x).sum(1) / 2


class Itself(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


@pytest.mark.filterwarnings("error")
def test_what_is_wrong_with_an_energy_is_said_as_without():
    for energy in (nn.Linear(3, 1), nn.Sequential(nn.Linear(2, 2))):
        with pytest.raises((RuntimeError, ValueError)) as expected:
            value_and_grad(energy, torch.ones(4, 2))
        with pytest.raises(expected.type) as found:
            Accelerated(energy).value_and_grad(torch.ones(4, 2))
        assert str(found.value) == str(expected.value)


class Sized(nn.Module):
    """Takes batches of four only."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(4, 2).square().sum(1)


@pytest.mark.filterwarnings("error")
def test_batches_of_one_size_are_recorded():
    energy, x = Sized(), torch.randn(4, 2, generator=rng())
    fast = Accelerated(energy)
    for _ in range(2):
        assert agree(fast, energy, x)
    assert fast.twin.replay(x) is not None
