"""The door between samplers and energies, and what every sampler owes its caller."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ebmkit import interfaces
from ebmkit.energies.analytic import DoubleWell, GaussianEnergy
from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import Sampler, eval_mode, noise_like, per_example, value_and_grad
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin

SAMPLERS: list[Sampler] = [
    Langevin(steps=4, step_size=0.1, noise=0.1),
    HMC(steps=4, step_size=0.1, leapfrog=3),
    HMC(steps=4, step_size=0.1, leapfrog=3, adjust=False),
]
samplers = pytest.mark.parametrize("sampler", SAMPLERS, ids=["langevin", "hmc", "hmc-unadjusted"])


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


class Counting:
    """x²/2, counting its calls, and raising at one of them where told to."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls, self.fail_at = 0, fail_at

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("on purpose")
        return square(x)


class Network(nn.Module):
    """A network with everything that evaluation mode changes."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        self.calls, self.fail_at = 0, fail_at
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("on purpose")
        energies: Tensor = self.layers(x)
        return energies


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


@pytest.mark.parametrize("energy", [square, lambda x: square(x).unsqueeze(1)], ids=["(B,)", "(B, 1)"])
def test_the_energy_may_be_a_column_or_flat(energy: Callable[[Tensor], Tensor]):
    x = torch.randn(5, 2, 3, generator=rng())
    value, gradient = value_and_grad(energy, x)
    torch.testing.assert_close(value, square(x))
    torch.testing.assert_close(gradient, x)
    assert not value.requires_grad
    assert not gradient.requires_grad


def test_a_single_example_keeps_its_axes():
    value, gradient = value_and_grad(lambda x: square(x).unsqueeze(1), torch.ones(1, 2))
    assert value.shape == (1,)
    assert gradient.shape == (1, 2)


@pytest.mark.parametrize(
    "energy",
    [
        lambda x: x,
        lambda x: x.sum(),
        lambda x: square(x)[:-1],
        lambda x: square(x).unsqueeze(0),
        lambda x: square(x)[:, None, None],
    ],
)
def test_an_energy_of_another_shape_is_refused(energy: Callable[[Tensor], Tensor]):
    with pytest.raises(ValueError, match="expected one energy per example"):
        value_and_grad(energy, torch.ones(4, 3))


@pytest.mark.parametrize(
    "energy",
    [
        lambda x: square(x.detach()),
        lambda x: torch.ones(len(x)),
        lambda x: square(x.detach()) * nn.Parameter(torch.ones(())),
    ],
    ids=["detached", "constant", "detached with parameters"],
)
def test_an_energy_that_does_not_depend_on_x_is_refused(energy: Callable[[Tensor], Tensor]):
    with pytest.raises(ValueError, match="does not depend on x"):
        value_and_grad(energy, torch.ones(4, 3))


def test_the_callers_x_and_parameters_are_left_alone():
    network, x = Network(), torch.randn(6, 3, generator=rng())
    network.layers[0].weight.requires_grad_(False)
    before, flags = x.clone(), [p.requires_grad for p in network.parameters()]
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    for sampler in SAMPLERS:
        sampler.sample(network, x, rng())
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert x.grad is None
    assert [p.requires_grad for p in network.parameters()] == flags
    assert all(p.grad is None for p in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_dropout_is_off_inside_and_every_mode_is_put_back():
    network, x = Network().train(), torch.randn(6, 3, generator=rng())
    network.layers[1].eval()
    before = modes(network)
    assert len(set(before)) == 2
    first, second = value_and_grad(network, x), value_and_grad(network, x)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[0], network.eval()(x).flatten().detach())
    for module, mode in zip(network.modules(), before, strict=True):
        module.training = mode
    value_and_grad(network, x)
    assert modes(network) == before


@samplers
def test_an_energy_that_raises_in_mid_chain_leaves_modes_and_grad_mode_as_they_were(sampler: Sampler):
    network = Network(fail_at=3).train()
    network.layers[1].eval()
    before, buffers = modes(network), [buffer.clone() for buffer in network.buffers()]
    with torch.no_grad():
        with pytest.raises(RuntimeError, match="on purpose"):
            sampler.sample(network, torch.ones(2, 3), rng())
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert network.calls == 3
    assert modes(network) == before
    for buffer, old in zip(network.buffers(), buffers, strict=True):
        assert torch.equal(buffer, old)


@samplers
def test_a_chain_left_in_the_middle_leaves_the_modes_as_they_were(sampler: Sampler):
    network = Network().train()
    chain = sampler.chain(network, torch.ones(2, 3), rng())
    next(chain)
    assert all(modes(network))
    assert network.layers[1].num_batches_tracked == 0


def test_evaluating_holds_the_whole_energy_and_takes_plain_callables():
    network = Network().train()
    with eval_mode(network):
        assert not any(modes(network))
    assert all(modes(network))
    with eval_mode(square):
        pass


def test_a_part_set_to_training_inside_evaluating_is_asked_in_evaluation_mode_and_left_as_it_was():
    network, x = Network().eval(), torch.randn(6, 3, generator=rng())
    expected = value_and_grad(network, x)
    network.train()
    with eval_mode(network):
        network.layers[3].train()
        for found, wanted in zip(value_and_grad(network, x), expected, strict=True):
            assert torch.equal(found, wanted)
        assert modes(network) == [module is network.layers[3] for module in network.modules()]
    assert all(modes(network))


def test_evaluating_holds_parts_that_are_shared_or_missing_or_hold_each_other():
    network = Network().train()
    network.add_module("again", network.layers)
    network.add_module("missing", None)
    network.layers[2].add_module("owner", network)
    with eval_mode(network):
        assert not any(modes(network))
    assert all(modes(network))


def test_nothing_is_entered_where_the_mode_is_held_already(monkeypatch: pytest.MonkeyPatch):
    """Contexts and walks at every step would cost a small network a fifth of its time."""
    network, x = Network().eval(), torch.ones(2, 3)
    expected = value_and_grad(network, x)

    def forbidden(*_: Any) -> None:
        raise AssertionError("there is nothing to change")

    monkeypatch.setattr(interfaces, "eval_mode", forbidden)
    monkeypatch.setattr(torch, "enable_grad", forbidden)
    monkeypatch.setattr(torch, "inference_mode", forbidden)
    assert torch.equal(value_and_grad(network, x)[1], expected[1])


@samplers
def test_the_global_random_state_is_untouched(sampler: Sampler):
    network = Network().train()
    before = torch.get_rng_state()
    sampler.sample(network, torch.ones(2, 3), rng())
    assert torch.equal(torch.get_rng_state(), before)


@samplers
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_chains_are_the_same_without_gradients_and_in_inference_mode(
    sampler: Sampler, mode: Callable[[], AbstractContextManager[Any]]
):
    network = Network()
    expected = sampler.sample(network, torch.ones(2, 3), rng())
    with mode():
        x = torch.ones(2, 3)
        assert torch.equal(sampler.sample(network, x, rng()), expected)
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
        assert not torch.is_grad_enabled()


@samplers
def test_a_start_made_in_inference_mode_can_be_followed_outside_it(sampler: Sampler):
    network = Network()
    with torch.inference_mode():
        x = torch.ones(2, 3)
    assert torch.equal(sampler.sample(network, x, rng()), sampler.sample(network, torch.ones(2, 3), rng()))


@samplers
@pytest.mark.parametrize("differentiable", [False, True])
def test_what_was_handed_out_is_never_written_to(sampler: Sampler, differentiable: bool):
    start = torch.ones(5, 3).requires_grad_(differentiable)
    kept = [(start, start.detach().clone())]
    for state in sampler.chain(square, start, rng()):
        kept += [(value, value.detach().clone()) for value in (state.x, *state.info.values())]
    assert all(torch.equal(value, copy) for value, copy in kept)
    assert len({value.data_ptr() for value, _ in kept[1::3]}) > 1


class Operations(TorchDispatchMode):
    """Counts what is computed; views and empty memory are free."""

    FREE = ("view", "_unsafe_view", "detach", "alias", "empty_like", "unsqueeze", "squeeze")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in self.FREE:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class Free:
    """An energy that computes nothing."""

    def __call__(self, x: Tensor) -> Tensor:
        raise AssertionError("its own method should be used")

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.view(-1), x


def operations(sampler: Sampler) -> list[str]:
    x = torch.ones(4, 1)
    with Operations() as seen:
        sampler.sample(Free(), x, rng())
    return seen.names


def test_a_step_of_langevin_takes_four_operations_beside_the_gradient():
    assert operations(Langevin(steps=2)) == 2 * ["mul", "sub", "normal_", "add_"]
    assert operations(Langevin(steps=2, noise=0)) == 2 * ["mul", "sub"]


def test_a_leapfrog_takes_two_operations_beside_the_gradient():
    one, other = (operations(HMC(steps=1, leapfrog=leapfrog)) for leapfrog in (1, 4))
    assert len(other) - len(one) == 3 * 2
    assert len(one) <= 40


@samplers
def test_states_hold_no_graph_although_the_energy_has_parameters(sampler: Sampler):
    for state in sampler.chain(Network(), torch.ones(2, 3), rng()):
        assert not state.x.requires_grad
        assert not any(value.requires_grad for value in state.info.values())


def test_an_energys_own_value_and_grad_is_used():
    class Own:
        calls = 0

        def __call__(self, x: Tensor) -> Tensor:
            raise AssertionError("its own method should be used")

        def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
            self.calls += 1
            return square(x), x

    own = Own()
    x = torch.randn(3, 2, generator=rng())
    assert torch.equal(value_and_grad(own, x)[1], x)
    for sampler in SAMPLERS:
        torch.testing.assert_close(sampler.sample(own, x, rng()), sampler.sample(square, x, rng()))
    assert own.calls == 1 + 4 + 2 * 13


@samplers
@pytest.mark.parametrize("energy", [DoubleWell((3,), height=0.7), MLP((3,), width=5, depth=2).double()])
def test_chains_can_be_differentiated(sampler: Sampler, energy: Callable[[Tensor], Tensor]):
    start = torch.randn(2, 3, generator=rng(), dtype=torch.float64).requires_grad_()

    def end(x: Tensor) -> Tensor:
        for _, state in zip(range(3), sampler.chain(energy, x, rng(1)), strict=False):
            x = state.x
        return x

    assert torch.autograd.gradcheck(end, start)


def test_a_differentiable_chain_reaches_the_parameters():
    # Every step keeps (1 - s) of the distance to the mean, so d x_K / d mean = 1 - (1 - s)^K.
    energy = GaussianEnergy((2,), mean=torch.tensor([0.3, -0.2], dtype=torch.float64))
    x = torch.randn(1, 2, generator=rng(), dtype=torch.float64).requires_grad_()
    Langevin(steps=3, step_size=0.2).sample(energy, x, rng()).sum().backward()
    torch.testing.assert_close(energy.mean.grad, torch.full((2,), 1 - 0.8**3, dtype=torch.float64))
    torch.testing.assert_close(x.grad, torch.full((1, 2), 0.8**3, dtype=torch.float64))


@pytest.mark.parametrize("steps", [1, 7])
def test_langevin_takes_one_gradient_a_step(steps: int):
    energy = Counting()
    Langevin(steps=steps).sample(energy, torch.ones(2, 3), rng())
    assert energy.calls == steps


@pytest.mark.parametrize(("steps", "leapfrog"), [(1, 1), (5, 1), (3, 4)])
def test_hmc_takes_one_gradient_a_leapfrog_and_one_more(steps: int, leapfrog: int):
    energy = Counting()
    HMC(steps=steps, leapfrog=leapfrog).sample(energy, torch.ones(2, 3), rng())
    assert energy.calls == steps * leapfrog + 1


@samplers
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 8, 8), (1, 5), (1, 3, 8, 8)], ids=str)
def test_chains_keep_shape_dtype_and_device(sampler: Sampler, dtype: torch.dtype, shape: tuple[int, ...]):
    x = torch.randn(shape, generator=rng()).to(dtype)
    states = list(sampler.chain(square, x, rng()))
    assert len(states) == 4
    for state in states:
        assert (state.x.shape, state.x.dtype) == (shape, dtype)
        assert (state.info["energy"].shape, state.info["gradient"].shape) == (shape[:1], shape)
        assert state.x.isfinite().all()
    assert not torch.equal(states[-1].x, x)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple),
    sampler=st.sampled_from(SAMPLERS),
    seed=st.integers(0, 2**32),
)
def test_chains_of_any_shape_start_where_they_were_told(shape: tuple[int, ...], sampler: Sampler, seed: int):
    x = Uniform(shape[1:]).sample(shape[0], rng(seed))
    states = list(sampler.chain(square, x, rng(seed)))
    assert torch.equal(states[0].info["gradient"], x)
    torch.testing.assert_close(states[0].info["energy"], square(x))
    torch.testing.assert_close(states[-1].info["energy"], square(states[-2].x))
    assert states[-1].x.shape == shape


@samplers
def test_a_seed_decides_the_chain(sampler: Sampler):
    x = torch.ones(3, 4)
    assert torch.equal(sampler.sample(square, x, rng(1)), sampler.sample(square, x, rng(1)))
    assert not torch.equal(sampler.sample(square, x, rng(1)), sampler.sample(square, x, rng(2)))


@samplers
def test_sample_is_the_end_of_the_chain(sampler: Sampler):
    x = torch.ones(3, 4)
    *_, last = sampler.chain(square, x, rng())
    assert torch.equal(sampler.sample(square, x, rng()), last.x)


def test_noise_does_not_depend_on_the_memory_format():
    x = torch.zeros(2, 3, 4, 4)
    assert torch.equal(noise_like(x, rng()), noise_like(x.to(memory_format=torch.channels_last), rng()))


def test_values_per_example_broadcast():
    values = torch.arange(3.0)
    assert per_example(torch.zeros(3, 2, 4, 4), values).shape == (3, 1, 1, 1)


def test_a_plain_init_has_no_state_and_refuses_one():
    init = Uniform((2,))
    init.remember(torch.zeros(1, 2))
    assert init.state_dict() == {}
    init.load_state_dict({})
    with pytest.raises(ValueError, match="keeps no state"):
        init.load_state_dict({"bank": torch.zeros(1)})


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("sampler", [Langevin, HMC])
def test_impossible_settings_are_refused(sampler: type[Langevin] | type[HMC], bad: float):
    for name in ("steps", "step_size"):
        with pytest.raises(UsageError, match=f"^{name} must be "):
            sampler(**{name: bad})
