"""The state of a trainer: complete, and restored bit for bit."""

import io
from typing import Any

import pytest
import torch
from trainers import real, same, small

from ebmkit.methods.schedules import linear
from ebmkit.methods.update import Update


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """The state, written to a checkpoint and read again."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def same_updates(one: Update, other: Update) -> bool:
    return same({**vars(one)}, {**vars(other)})


def test_a_restored_trainer_continues_bit_for_bit():
    schedule = linear(10, 2)
    straight = small(average=0.9, schedule=schedule)
    for index in range(4):
        straight.update(real(index))
    state = copied(straight.state_dict())
    assert set(state) == {"index", "energy", "average", "optimizer", "init", "rng"}
    resumed = small(average=0.9, schedule=schedule)
    resumed.update(real(50))
    resumed.load_state_dict(state)
    assert same(resumed.state_dict(), straight.state_dict())
    for index in range(4, 7):
        assert same_updates(straight.update(real(index)), resumed.update(real(index)))
    assert same(resumed.state_dict(), straight.state_dict())


@pytest.mark.parametrize("left_out", ["energy", "average", "optimizer", "init", "rng"])
def test_every_part_of_the_state_is_needed(left_out):
    straight = small(average=0.9)
    for index in range(3):
        straight.update(real(index))
    resumed = small(average=0.9)
    resumed.update(real(50))
    resumed.load_state_dict(copied({**straight.state_dict(), left_out: resumed.state_dict()[left_out]}))
    for index in range(3, 5):
        straight.update(real(index))
        resumed.update(real(index))
    assert not same(resumed.state_dict(), straight.state_dict())
