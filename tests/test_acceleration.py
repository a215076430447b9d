"""An energy's stand-in in chains: the same energy, to the rounding that is asked for, and nothing else changed."""

import copy
import os
import shutil
import warnings

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration import replaying
from ebmkit.acceleration.accelerated import SHAPES, Accelerated
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet
from ebmkit.errors import Notice, UsageError
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


def low_precision(energy: nn.Module) -> Accelerated:
    return Accelerated(energy, precision="bf16")


def relative(approximate: Tensor, exact: Tensor) -> float:
    return float((approximate - exact).norm() / exact.norm())


def test_energy_and_gradient_agree_to_the_rounding_of_bfloat16():
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
        assert value.dtype == gradient.dtype == low(x).dtype == x.dtype
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


def test_new_weights_and_buffers_are_taken_up_when_it_is_refreshed_and_not_before():
    torch.manual_seed(0)
    energy = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    low = low_precision(energy)
    old = low(images())
    energy(images())
    with torch.no_grad():
        energy[1].weight.mul_(2)
    assert torch.equal(low(images()), old)
    assert low.refreshed(energy) is low
    assert torch.equal(low(images()), low_precision(energy)(images()))
    assert not torch.equal(low(images()), old)


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
    training = Trainer(energy, sampler, Uniform(SHAPE), optimizer, rng(), accelerate=low_precision(energy).refreshed)
    before = copy.deepcopy(energy)
    step = training.step(images())
    assert torch.equal(step.real_energy, before(images()).detach())
    assert torch.equal(step.fake_energy, before(step.fake).detach())
    assert all(parameter.grad.dtype == torch.float32 for parameter in energy.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_the_twin_is_always_in_evaluation_mode(training):
    energy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 1)).train(training)
    low = low_precision(energy)
    assert torch.equal(low(images()), low(images()))
    assert all(module.training is training for module in energy.modules())


# In fp32 nothing is rounded, and what is recorded is what autograd computes.


def image_energy() -> nn.Module:
    torch.manual_seed(0)
    return ConvNet(SHAPE, width=4)


def residual_energy() -> nn.Module:
    torch.manual_seed(0)
    return ResNet(SHAPE, width=4, stages=2, blocks=1, spectral_norm=True)


class Attentive(nn.Module):
    """Has what the others have not: attention, normalisation, products of functions of x, a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 2, 2, stride=2)
        self.grouped = nn.Conv2d(2, 4, (3, 2), stride=(3, 2), padding=(1, 0), dilation=(2, 1), groups=2, bias=False)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(x.flatten(1, 2))
        mixed, _ = self.attention(rows, rows, rows)
        maps = nn.functional.leaky_relu(self.grouped(self.up(x)), 0.1)
        return (mixed * rows).sum((1, 2)) + (maps * maps.tanh()).mean((1, 2, 3)) + x.square().sum((1, 2, 3)).sqrt()


ENERGIES = {
    "convnet": image_energy,
    "smooth": network,
    "resnet": residual_energy,
    "attentive": Attentive,
    "column": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ELU(), nn.Linear(8, 1)),
}


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
        fast.refreshed(energy).value_and_grad(images(n))
        fast.value_and_grad(images(n))
    # One pass to record and one to compare with, for each of two shapes.
    assert Counting.passes == 4


def test_only_so_many_shapes_are_kept():
    fast = Accelerated(MLP((2,), width=4, depth=1))
    for n in range(1, 2 * SHAPES):
        fast.value_and_grad(torch.ones(n, 2))
    assert [key[0][0] for key in fast.replays] == [*range(SHAPES, 2 * SHAPES)]


class Counting(nn.Module):
    """Counts its passes, all copies together."""

    passes = 0

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        Counting.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        Counting.passes += 1
        return self.inner(x)


@pytest.mark.parametrize("name", ENERGIES)
def test_new_weights_reach_the_recorded_passes_when_it_is_refreshed_and_not_before(name):
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
def test_it_works_in_every_mode_and_gives_ordinary_tensors(mode):
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


class Branching(nn.Module):
    """Another energy for positive sums."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum(1) if x.sum() > 0 else x.sum(1)


class Secret(nn.Module):
    """Looks at its numbers behind torch's back."""

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.from_numpy(np.cos(x.detach().numpy()))
        return (x * weight).sum(1)


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * torch.rand(x.shape)).sum(1)


@pytest.mark.parametrize(("kind", "reason"), [(Branching, "depends on numbers"), (Secret, "does something else")])
def test_an_energy_whose_operations_depend_on_its_numbers_is_computed_by_autograd_with_one_notice(kind, reason):
    energy, x = kind(), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    fast = Accelerated(energy)
    with pytest.warns(Notice, match=rf"passes of {kind.__name__} .* cannot be recorded \(.*{reason}") as notices:
        fast.value_and_grad(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for point in (x, -x, x.sqrt()):
            assert all(map(torch.equal, fast.value_and_grad(point), value_and_grad(energy, point)))
    assert len(notices) == 1


def test_an_energy_that_draws_is_not_recorded():
    with pytest.warns(Notice, match="does something else"):
        Accelerated(Random()).value_and_grad(torch.ones(2, 2))


class Tempered(nn.Module):
    """Has settings besides its weights: a number, a list, a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.beta, self.powers, self.shift = 1.0, [2], torch.zeros(2)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.beta * self.scale * sum((x - self.shift).pow(power).sum(1) for power in self.powers)


def test_what_is_set_on_an_energy_between_chains_is_taken_up():
    energy, x = Tempered(), torch.tensor([[1.0, 2.0]])
    fast = Accelerated(energy)

    def agree():
        return all(map(torch.allclose, fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x)))

    assert agree()
    twin = fast.twin
    assert agree()
    assert fast.twin is twin
    energy.beta = 0.5
    assert agree()
    energy.powers.append(4)
    assert agree()
    energy.shift += 1
    assert agree()
    energy.shift = torch.full((2,), 3.0)
    assert agree()
    assert fast.twin is not twin
    energy.double()
    x = x.double()
    energy.shift = energy.shift.double()
    assert agree()
    assert fast.value_and_grad(x)[0].dtype == torch.float64


class Uncopied(nn.Module):
    """Keeps its last output, with its graph: torch copies no such tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.last = self.layer(torch.ones(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.layer(x)
        return self.last.squeeze(1)


def test_an_energy_that_cannot_be_copied_is_computed_as_it_is_with_one_notice():
    energy, x = Uncopied(), torch.ones(3, 2)
    with pytest.warns(Notice, match="Uncopied cannot be copied .* not recorded") as notices:
        fast = Accelerated(energy)
    with torch.no_grad():
        energy.layer.weight.add_(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(map(torch.equal, fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x)))
    assert len(notices) == 1
    with pytest.raises(UsageError, match=r"bf16 computes on a copy .* Uncopied cannot be copied .*: use fp32"):
        Accelerated(energy, precision="bf16")


def test_what_is_wrong_with_an_energy_is_said_as_without():
    for energy in (nn.Linear(3, 1), nn.Sequential(nn.Linear(2, 2))):
        with pytest.raises((RuntimeError, ValueError)) as expected:
            value_and_grad(energy, torch.ones(4, 2))
        with pytest.raises(expected.type) as found:
            Accelerated(energy).value_and_grad(torch.ones(4, 2))
        assert str(found.value) == str(expected.value)


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match=r"precision must be fp32 \| bf16 \| tf32, not 'fp16'"):
        Accelerated(network(), precision="fp16")


def test_it_says_of_the_energy_whether_it_is_piecewise_linear():
    assert Accelerated(image_energy()).piecewise_linear
    assert not Accelerated(network()).piecewise_linear


@pytest.mark.skipif(not (os.environ.get("CXX") or shutil.which("g++")), reason="there is no C++ compiler")
def test_compiled_passes_are_the_same():
    energy = MLP((2,), width=4, depth=1)
    fast, x = Accelerated(energy, compile=True), torch.randn(3, 2, generator=rng())
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        found = fast.value_and_grad(x)
    for mine, theirs in zip(found, value_and_grad(energy, x), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_passes_that_cannot_be_packed_are_recorded_with_one_notice(monkeypatch):
    def broken(recording):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(replaying, "pack", broken)
    energy = image_energy()
    fast = Accelerated(energy)
    with pytest.warns(Notice, match=r"cannot be packed \(RuntimeError: no such operation\)") as notices:
        found = fast.value_and_grad(images())
    assert len(notices) == 1
    assert fast.replay(images()) is not None
    for mine, theirs in zip(found, value_and_grad(energy, images()), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_passes_that_cannot_be_compiled_are_recorded_with_one_notice(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", broken)
    energy = image_energy()
    fast = Accelerated(energy, compile=True)
    with pytest.warns(Notice, match=r"cannot be compiled \(RuntimeError: no compiler here\)") as notices:
        found = fast.value_and_grad(images())
    assert len(notices) == 1
    assert all(map(torch.equal, found, Accelerated(energy).value_and_grad(images())))
    assert fast.replay(images()) is not None
