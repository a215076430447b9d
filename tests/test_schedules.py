"""Schedules of the learning rate, and the settings of the training loop."""

import math

import pytest
import torch
from trainers import data, trainer, well

from ebmkit.config.train_settings import TrainSettings
from ebmkit.errors import UsageError
from ebmkit.methods.schedules import cosine, linear


def test_the_linear_schedule_is_flat_and_then_falls_to_0():
    factor = linear(10, 5)
    assert [factor(index) for index in range(1, 6)] == [1.0] * 5
    assert [factor(index) for index in range(6, 12)] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])


def test_in_a_short_run_the_linear_schedule_stays_at_1():
    assert [linear(10, 300)(index) for index in range(1, 11)] == [1.0] * 10


def test_the_cosine_schedule_is_flat_and_then_falls_to_0():
    factor = cosine(10, 5)
    assert [factor(index) for index in range(1, 6)] == [1.0] * 5
    half = [(1 + math.cos(math.pi * step / 6)) / 2 for step in range(1, 7)]
    assert [factor(index) for index in range(6, 12)] == pytest.approx(half)
    assert [cosine(10, 300)(index) for index in range(1, 11)] == [1.0] * 10


@pytest.mark.parametrize(
    ("kind", "factors"),
    [("constant", [1, 1, 1, 1]), ("linear", [1, 1, 2 / 3, 1 / 3]), ("cosine", [1, 1, 3 / 4, 1 / 4])],
)
def test_the_schedule_scales_the_learning_rate(kind, factors):
    schedule = TrainSettings(iterations=4, schedule_from=2).schedule(kind)
    training = trainer(well(4.0), lr=0.1, schedule=schedule)
    for index, factor in enumerate(factors):
        before = training.energy.mean.detach().clone()
        training.update(data(20, seed=index))
        moved = before - 0.1 * factor * training.energy.mean.grad
        torch.testing.assert_close(training.energy.mean.detach(), moved)


@pytest.mark.parametrize(
    "wrong",
    [{"iterations": 0}, {"batch_size": 0}, {"data_noise": -0.1}, {"schedule_from": -1}, {"seed": -1}],
)
def test_settings_of_the_loop_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainSettings(**wrong)
