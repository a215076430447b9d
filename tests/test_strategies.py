"""The strategies draw what they are documented to draw."""

import copy
import math

import pytest
import torch
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from ebmkit.interfaces import energy_values, value_and_grad
from ebmkit.testing import check_energy
from ebmkit.testing import strategies as home

DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def first(strategy, condition):
    """The first draw that meets the condition, not shrunk."""
    return find(strategy, condition, settings=settings(phases=[Phase.generate], max_examples=1000))


@given(home.shapes(), home.shapes(most=3))
def test_shapes_are_those_of_small_vectors_and_images(shape, tiny):
    assert len(shape) in (1, 3)
    assert 1 <= math.prod(shape) <= 64
    assert len(tiny) == 1
    assert tiny[0] <= 3


@pytest.mark.parametrize("wanted", [(1,), (1, 2, 2), (3, 4, 4), (64,)], ids=str)
def test_shapes_of_every_kind_are_drawn(wanted):
    assert first(home.shapes(), lambda shape: shape == wanted) == wanted


@settings(max_examples=50)
@given(st.data(), home.shapes(), st.sampled_from(DTYPES), st.floats(-3, 0), st.floats(0.125, 3))
def test_examples_have_their_shape_their_dtype_and_their_range(data, shape, dtype, low, high):
    x = data.draw(home.examples(shape, most=3, low=low, high=high, dtype=dtype))
    assert 1 <= len(x) <= 3
    assert x.shape[1:] == shape
    assert x.dtype == dtype
    # Rounding may reach, but not pass, the rounded end.
    low, high = torch.tensor([low, high], dtype=torch.float64).to(dtype)
    assert bool(((x >= low) & (x <= high)).all())


@pytest.mark.parametrize("number", [-1.0, 0.0, 1.0])
def test_examples_reach_both_ends_and_zero(number):
    first(home.examples((2,)), lambda x: bool((x == number).any()))


@given(st.data(), st.integers(1, 5), st.sampled_from([1.0, 4.0, 1000.0]))
def test_precisions_are_symmetric_positive_definite_and_bounded(data, d, condition):
    precision = data.draw(home.precisions(d, condition=condition))
    assert precision.shape == (d, d)
    assert precision.dtype == torch.float64
    assert torch.equal(precision, precision.T)
    eigenvalues = torch.linalg.eigvalsh(precision)
    assert float(eigenvalues.min()) >= condition**-0.5 * (1 - 1e-9)
    assert float(eigenvalues.max()) <= condition**0.5 * (1 + 1e-9)


def test_precisions_are_correlated_and_ill_conditioned():
    first(home.precisions(2), lambda precision: abs(float(precision[0, 1])) > 0.1)
    first(home.precisions(2), lambda precision: float(torch.linalg.cond(precision)) > 50)


@settings(max_examples=40)
@given(st.data(), home.shapes(), st.sampled_from(DTYPES))
def test_energies_give_one_value_per_example_of_their_dtype(data, shape, dtype):
    energy, x = data.draw(home.energies(shape, dtype=dtype)), data.draw(home.examples(shape, dtype=dtype))
    value, gradient = value_and_grad(energy, x)
    assert value.shape == (len(x),)
    assert value.dtype == gradient.dtype == dtype
    assert bool(value.isfinite().all())


@settings(max_examples=40)
@given(st.data(), home.shapes())
def test_energies_are_smooth_and_grow_far_away(data, shape):
    energy = data.draw(home.energies(shape, dtype=torch.float64))
    x = data.draw(home.examples(shape, most=2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: energy_values(energy, x).sum(), x)
    far = 1e3 * torch.nn.functional.normalize(x.detach().flatten(1) + 1e-3, dim=1).reshape(x.shape)
    assert bool((energy_values(energy, far) > energy_values(energy, torch.zeros_like(x)) + 100).all())


@pytest.mark.parametrize("kind", [home.Quadratic, home.Network])
@pytest.mark.parametrize("shape", [(2,), (1, 4, 4), (3, 8, 8)], ids=str)
def test_energies_of_both_kinds_are_drawn_and_conform(kind, shape):
    energy = first(home.energies(shape), lambda energy: isinstance(energy, kind))
    check_energy(lambda shape: copy.deepcopy(energy), shape=shape)


def test_a_network_follows_its_formula_and_its_seed():
    one, same, other = (home.Network((2, 1), seed=seed) for seed in (3, 3, 4))
    x = torch.tensor([[[0.5], [-1.0]]])
    bumps = torch.tanh(x.flatten() @ one.weight + one.bias) @ one.height
    torch.testing.assert_close(one(x), 0.625 + bumps.reshape(1))
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))


def test_a_quadratic_follows_its_formula():
    precision = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    assert home.Quadratic(precision)(torch.tensor([[[1.0], [-2.0]]])).tolist() == [5.0]


@given(home.generators())
def test_generators_are_new_and_on_the_cpu(rng):
    assert rng.device.type == "cpu"
    assert torch.equal(
        torch.rand(3, generator=rng), torch.rand(3, generator=torch.Generator().manual_seed(rng.initial_seed()))
    )


def test_strategies_leave_global_randomness_unchanged():
    before = torch.get_rng_state()
    first(home.energies((3,)), lambda energy: isinstance(energy, home.Network))
    assert torch.equal(torch.get_rng_state(), before)
