"""An energy's stand-in in chains: the same energy, to the rounding that is asked for, and nothing else changed."""

import copy
import os
import pickle
import random
import shutil
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration import accelerated, replaying
from ebmkit.acceleration.accelerated import ADOPTIONS, Accelerated
from ebmkit.acceleration.twin import SHAPES
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet
from ebmkit.errors import Notice, UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import value_and_grad
from ebmkit.samplers.langevin import Langevin
from ebmkit.methods.maximum_likelihood import Trainer

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


def test_new_weights_and_buffers_are_taken_up_when_it_is_refreshed_and_not_before():
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
        step = training.step(torch.rand(8, 2, generator=rng(update)))
        assert count == update
        # The chains of this update ran on the weights from before it.
        assert all(map(torch.equal, low.twin.network.parameters(), weights))
        assert step.fake.dtype == torch.float32
    assert not all(map(torch.equal, low.twin.network.parameters(), [p.bfloat16() for p in energy.parameters()]))


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


def test_called_it_is_the_energy_itself_in_evaluation_mode():
    energy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 1))
    assert torch.equal(low_precision(energy)(images()), copy.deepcopy(energy).eval()(images()))
    assert energy.training


@pytest.mark.parametrize("training", [True, False])
def test_the_twin_is_always_in_evaluation_mode(training):
    energy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 1)).train(training)
    low = low_precision(energy)
    assert torch.equal(low.value_and_grad(images())[0], low.value_and_grad(images())[0])
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


class Normed(nn.Module):
    """Takes a number of its weights out of torch: right until the weights change."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))

    def forward(self, x: Tensor) -> Tensor:
        size = 1.0
        for row in self.weight.detach().tolist():
            size += sum(row)
        return (x @ (self.weight / size)).square().sum(1)


class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, slope):
        return slope * torch.from_numpy(np.cos(ctx.saved_tensors[0].numpy()))


class Hidden(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Backwards.apply(x).sum(1)


class Rolled(nn.Module):
    """Rolls a die of Python's, which no recording sees; the sum beside it hides how much that changes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum(1) * (1 + 0.1 * random.random())


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * torch.rand(x.shape)).sum(1)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Branching, "depends on numbers"),
        (Secret, "out of torch"),
        (Normed, "out of torch"),
        (Hidden, "does something else"),
    ],
)
def test_an_energy_whose_operations_depend_on_its_numbers_is_computed_by_autograd_with_one_notice(kind, reason):
    energy, x = kind(), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    fast = Accelerated(energy)
    with pytest.warns(Notice, match=rf"passes of {kind.__name__} .* cannot be recorded \(.*{reason}") as notices:
        fast.value_and_grad(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for point in (x, -x, x.sqrt()):
            with torch.no_grad():
                for parameter in energy.parameters():
                    parameter.mul_(1.5)
            fast.refreshed(energy)
            assert all(map(torch.equal, fast.value_and_grad(point), value_and_grad(energy, point)))
    assert len(notices) == 1


@pytest.mark.parametrize("kind", [Random, Rolled])
def test_an_energy_that_draws_is_not_recorded_and_the_trial_takes_nothing_of_its_randomness(kind, monkeypatch):
    monkeypatch.setattr(random, "random", random.Random(0).random)
    fast = Accelerated(kind())
    before = torch.get_rng_state()
    with pytest.warns(Notice, match="does something else"):
        fast.twin.replay(torch.ones(2, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert fast.twin.replay(torch.ones(2, 2)) is None


class Tempered(nn.Module):
    """Has settings besides its weights: a number, a list, a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.beta, self.powers, self.shift, self.more = 1.0, [2], torch.zeros(2), {"shifts": [0.5]}
        self.scale, self.bend = nn.Parameter(torch.ones(())), nn.Softplus()

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.shift.to(x.dtype) - sum(self.more["shifts"])
        return self.beta / Temperature.value * self.scale * self.bend(sum(x.pow(power).sum(1) for power in self.powers))


def agree(fast, energy, x):
    """Whether the stand-in gives what the energy gives now, without a notice."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        found = fast.refreshed(energy).value_and_grad(x)
    return all(map(torch.allclose, found, value_and_grad(energy, x)))


def double(module, given, result):
    return 2 * result


class Temperature:
    """What a module looks up where no copy of it can tell."""

    value = 1.0


CHANGES = {
    "what lies outside of it": lambda energy: setattr(Temperature, "value", 2.0),
    "a number": lambda energy: setattr(energy, "beta", 0.5),
    "a list": lambda energy: energy.powers.append(4),
    "what a list holds in a dictionary": lambda energy: energy.more["shifts"].append(1.0),
    "a tensor, in place": lambda energy: energy.shift.data.add_(1),
    "another tensor": lambda energy: setattr(energy, "shift", torch.full((2,), 3.0)),
    "a part of another kind": lambda energy: setattr(energy, "bend", nn.SiLU()),
    "a hook": lambda energy: energy.bend.register_forward_hook(double),
    "another type": lambda energy: energy.double(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_in_an_energy_between_chains_is_taken_up(change, monkeypatch):
    monkeypatch.setattr(Temperature, "value", 1.0)
    energy, x = Tempered(), torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.5, 2.0]])
    fast = Accelerated(energy)
    assert agree(fast, energy, x)
    twin = fast.twin
    assert agree(fast, energy, x)
    assert fast.twin is twin
    change(energy)
    assert agree(fast, energy, x.to(energy.scale.dtype))
    assert fast.twin is not twin


def test_an_energy_that_changes_with_each_chain_is_computed_by_autograd_after_one_notice():
    energy, x = Tempered(), torch.tensor([[1.0, 2.0]])
    fast = Accelerated(energy)
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        for chain in range(2 * ADOPTIONS):
            energy.beta = 1.0 + chain
            found = fast.refreshed(energy).value_and_grad(x)
            assert all(map(torch.allclose, found, value_and_grad(energy, x)))
    (notice,) = notices
    assert "Tempered changes from chain to chain" in str(notice.message)


def test_an_energy_that_seldom_changes_is_taken_up_each_time(monkeypatch):
    monkeypatch.setattr(accelerated, "PATIENCE", 2)
    energy, x = Tempered(), torch.tensor([[1.0, 2.0]])
    fast = Accelerated(energy)
    for chain in range(6 * ADOPTIONS):
        energy.beta = 1.0 + chain // 3
        assert agree(fast, energy, x)
    assert fast.twin is not None


class Keeping(nn.Module):
    """Keeps its last output with its graph, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(2, 1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = self.layer(x)
        return self.last.squeeze(1)


def test_what_an_energy_keeps_of_its_passes_does_not_hinder():
    energy, x = Keeping(), torch.ones(3, 2)
    energy(x)
    fast = Accelerated(energy)
    twin = fast.twin
    for _ in range(2 * ADOPTIONS):
        energy(x)
        assert agree(fast, energy, x)
    assert fast.twin is twin
    assert fast.twin.replay(x) is not None


class Sized(nn.Module):
    """Takes batches of four only."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(4, 2).square().sum(1)


@pytest.mark.filterwarnings("error")
def test_an_energy_that_takes_batches_of_one_size_is_recorded():
    energy, x = Sized(), torch.randn(4, 2, generator=rng())
    fast = Accelerated(energy)
    for _ in range(2):
        assert agree(fast, energy, x)
    assert fast.twin.replay(x) is not None


class Closed(nn.Module):
    """Computes through a function that holds on to the module that it was made in, as a copy does too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.through = lambda x: self.layers(x).squeeze(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(x)


def test_an_energy_whose_copy_computes_on_the_energy_itself_is_not_recorded():
    torch.manual_seed(0)
    energy, x = Closed(), torch.randn(5, 2, generator=rng())
    energy(x)
    mean = energy.layers[1].running_mean.clone()
    fast = Accelerated(energy)
    with pytest.warns(Notice, match="on the energy itself"):
        found = fast.refreshed(energy).value_and_grad(x)
    assert all(map(torch.equal, found, value_and_grad(energy, x)))
    assert torch.equal(energy.layers[1].running_mean, mean)
    with torch.no_grad():
        energy.layers[0].weight.mul_(2.0)
    assert all(map(torch.equal, fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x)))


class Locked(nn.Module):
    """Holds what Python does not copy."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
        self.lock = threading.Lock()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


class Shared(nn.Linear):
    """Gives itself for a copy."""

    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("make", [Locked, lambda: Shared(2, 1)])
def test_an_energy_that_cannot_be_copied_is_computed_as_it_is_with_one_notice(make):
    energy, x = make(), torch.ones(3, 2)
    name = type(energy).__name__
    with pytest.warns(Notice, match=f"{name} cannot be copied .* computed by autograd") as notices:
        fast = Accelerated(energy)
    assert all(module.training for module in energy.modules())
    assert all(parameter.requires_grad for parameter in energy.parameters())
    with torch.no_grad():
        next(energy.parameters()).add_(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(map(torch.equal, fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x)))
    assert len(notices) == 1
    with pytest.raises(UsageError, match=rf"bf16 computes on a copy .* {name} has none: use fp32"):
        low_precision(energy)


def test_a_copy_of_it_and_one_that_was_moved_compute_what_their_energy_does():
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


@pytest.mark.filterwarnings("error")
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


class Held:
    """Holds on to its arguments' memory as a captured graph does, on any device."""

    def __init__(self, body, x, tensors):
        self.body, self.x, self.tensors = body, x.clone(), tensors

    def __call__(self, x):
        self.x.copy_(x)
        return tuple(one.clone() for one in self.body(self.x, *self.tensors))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ENERGIES)
def test_new_weights_are_copied_to_where_a_captured_graph_reads_them(name, monkeypatch):
    monkeypatch.setattr(replaying, "Captured", Held)
    monkeypatch.setattr(replaying, "captures", lambda way, device: way == "compiled")
    monkeypatch.setattr(torch, "compile", lambda body, **settings: body.forward)
    energy, x = ENERGIES[name](), torch.randn(4, *SHAPE, generator=rng())
    fast = Accelerated(energy, compile=True)
    assert fast.twin.replay(x).captures
    for _ in range(2):
        with torch.no_grad():
            for parameter in energy.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(1)))
        for mine, theirs in zip(fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_passes_that_cannot_be_packed_are_recorded_with_one_notice(monkeypatch):
    def broken(recording):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(replaying, "pack", broken)
    energy = image_energy()
    fast = Accelerated(energy)
    with pytest.warns(Notice, match=r"cannot be packed \(RuntimeError: no such operation\)") as notices:
        found = fast.value_and_grad(images())
    assert len(notices) == 1
    assert fast.twin.replay(images()) is not None
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
    assert fast.twin.replay(images()) is not None
