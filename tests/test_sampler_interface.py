"""What every sampler guarantees to its caller, whatever the energy."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samplers_under_test import SAMPLERS, Network, modes, rng, square
from torch import Tensor

from ebmkit.energies.analytic import DoubleWell, GaussianEnergy
from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import Sampler
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin

samplers = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


def test_chains_change_neither_the_start_nor_the_weights():
    network, x = Network(), torch.randn(6, 3, generator=rng())
    network.layers[0].weight.requires_grad_(False)
    before, flags = x.clone(), [p.requires_grad for p in network.parameters()]
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    for sampler in SAMPLERS.values():
        sampler.sample(network, x, rng())
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert x.grad is None
    assert [p.requires_grad for p in network.parameters()] == flags
    assert all(p.grad is None for p in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name]), name


@samplers
def test_modes_are_restored_if_an_energy_raises(sampler: Sampler):
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
def test_modes_are_restored_if_a_chain_is_left(sampler: Sampler):
    network = Network().train()
    chain = sampler.chain(network, torch.ones(2, 3), rng())
    next(chain)
    assert all(modes(network))
    assert network.layers[1].num_batches_tracked == 0


@samplers
def test_the_global_random_state_is_untouched(sampler: Sampler):
    network = Network().train()
    before = torch.get_rng_state()
    sampler.sample(network, torch.ones(2, 3), rng())
    assert torch.equal(torch.get_rng_state(), before)


@samplers
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_chains_are_the_same_under_no_grad_and_inference_mode(
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
def test_a_start_made_in_inference_mode_can_be_used_outside(sampler: Sampler):
    network = Network()
    with torch.inference_mode():
        x = torch.ones(2, 3)
    assert torch.equal(sampler.sample(network, x, rng()), sampler.sample(network, torch.ones(2, 3), rng()))


@samplers
@pytest.mark.parametrize("differentiable", [False, True])
def test_states_that_were_yielded_are_never_modified(sampler: Sampler, differentiable: bool):
    start = torch.ones(5, 3).requires_grad_(differentiable)
    kept = [(start, start.detach().clone())]
    for state in sampler.chain(square, start, rng()):
        kept += [(value, value.detach().clone()) for value in (state.x, *state.info.values())]
    assert all(torch.equal(value, copy) for value, copy in kept)
    assert len({value.data_ptr() for value, _ in kept[1::3]}) > 1


@samplers
def test_states_have_no_graph_of_the_parameters(sampler: Sampler):
    for state in sampler.chain(Network(), torch.ones(2, 3), rng()):
        assert not state.x.requires_grad
        assert not any(value.requires_grad for value in state.info.values())


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
    sampler=st.sampled_from(list(SAMPLERS.values())),
    seed=st.integers(0, 2**32),
)
def test_chains_of_any_shape_begin_at_the_given_start(shape: tuple[int, ...], sampler: Sampler, seed: int):
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


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("sampler", [Langevin, HMC])
def test_impossible_settings_are_refused(sampler: type[Langevin] | type[HMC], bad: float):
    for name in ("steps", "step_size"):
        with pytest.raises(UsageError, match=f"^{name} must be "):
            sampler(**{name: bad})
