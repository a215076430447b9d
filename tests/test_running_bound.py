"""The gradient bound that follows the norms of the run: when it clips, what it stores, and that it resumes."""

import copy
import math

import pytest
import torch
from torch import Tensor
from trainers import data, real, same, small, trainer, well

from ebmkit.errors import UsageError
from ebmkit.methods.clipping import KNOWN, WINDOW, RunningBound


def fed(norms: list[float], factor: float = 2.0) -> RunningBound:
    """A bound that has seen gradients of these norms."""
    bound = RunningBound(factor, torch.device("cpu"))
    for norm in norms:
        bound.scale([torch.tensor([norm])], torch.tensor(norm))
    return bound


def test_the_bound_is_a_factor_times_the_median_norm():
    norms = [float(norm) for norm in range(1, 12)]
    assert float(fed(norms, 3.0).bound) == 18.0
    assert float(fed([1.0] * 60 + [1.5] * 60).bound) == 3.0
    assert len(fed([1.0] * 300).norms) == WINDOW


def test_the_first_updates_have_no_bound():
    assert float(fed([1.0] * (KNOWN - 1)).bound) == math.inf
    assert float(fed([1.0] * KNOWN).bound) == 2.0


def test_a_gradient_above_the_bound_is_scaled_to_it():
    bound, gradients = fed([1.0] * 20), [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    scale = bound.scale(gradients, torch.tensor(5.0))
    assert float(scale) == pytest.approx(0.4)
    assert torch.equal(gradients[0], torch.tensor([3.0, 0.0]) * scale)
    assert torch.equal(gradients[1], torch.tensor([[4.0]]) * scale)


def test_a_gradient_below_the_bound_stays_bitwise():
    bound, gradient = fed([1.0] * 20), torch.tensor([1.1, 1.3], dtype=torch.float64)
    before = gradient.clone()
    assert float(bound.scale([gradient], gradient.norm())) == 1.0
    assert torch.equal(gradient, before)


def test_an_outlier_is_stored_as_its_bound():
    bound = fed([1.0] * 20)
    bound.scale([torch.tensor([1e30])], torch.tensor(1e30))
    assert float(bound.norms[0]) == 2.0
    assert float(bound.bound) == 2.0


def test_a_runaway_raises_the_bound_slowly():
    norms = [1.0] * WINDOW + [10.0 * 2.0**update for update in range(100)]
    assert float(fed(norms).bound) <= 2.0**3


def test_gradients_of_zero_do_not_stop_the_later_ones():
    assert float(fed([0.0] * 20).bound) == math.inf


def test_training_clips_at_the_running_bound():
    training = trainer(well(0.7), gradient_clip="auto", clip_factor=2.0, lr=0.0)
    norms = [training.update(data(50, seed=index)).gradient_norm for index in range(30)]
    bound = training.running_bound.bound
    far = training.update(data(50) + 100)
    assert float(bound) == pytest.approx(2 * float(torch.stack(norms).median()), rel=0.2)
    assert float(far.gradient_norm) > 100
    torch.testing.assert_close(training.energy.mean.grad.norm().float(), bound)
    torch.testing.assert_close(far.gradient_scale, bound.double() / far.gradient_norm)
    assert far.scalars["gradient_scale"] == pytest.approx(float(far.gradient_scale))


def test_only_a_running_bound_reports_the_scale():
    for settings in ({}, {"gradient_clip": 0.5}):
        assert "gradient_scale" not in small(**settings).update(real(0)).scalars


def test_a_bound_that_is_never_reached_changes_nothing():
    plain, bounded = small(), small(gradient_clip="auto", clip_factor=1e9)
    for index in range(15):
        assert torch.equal(plain.update(real(index)).loss, bounded.update(real(index)).loss)


def test_the_running_bound_is_restored_bit_for_bit():
    straight = small(gradient_clip="auto", clip_factor=1.0)
    for index in range(14):
        straight.update(real(index))
    resumed = small(gradient_clip="auto", clip_factor=1.0)
    resumed.update(real(50))
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    for index in range(14, 20):
        one, other = straight.update(real(index)), resumed.update(real(index))
        assert same({**vars(one)}, {**vars(other)})
    assert isinstance(straight.state_dict()["gradient_norms"], Tensor)
    resumed.load_state_dict({**straight.state_dict(), "gradient_norms": torch.empty(0)})
    assert float(resumed.running_bound.bound) == math.inf


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan])
def test_a_factor_out_of_range_is_refused(factor):
    with pytest.raises(UsageError, match="clip_factor must be above 0"):
        small(gradient_clip="auto", clip_factor=factor)
