"""The watcher that writes checkpoint.pt."""

import math
from collections.abc import Iterator
from itertools import islice

import pytest
import torch
from small_trainings import checkpointed, examples, saved, store, trainer, updates_of
from torch import nn

from ebmkit.errors import Diverged
from ebmkit.methods.update import Update


def test_the_first_every_nth_and_the_last_are_saved(tmp_path):
    training, written = trainer(), []
    for update in checkpointed(updates_of(training, 5), training, tmp_path, every=2):
        written.append((update.index, saved(tmp_path)["index"]))
    assert written == [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4)]
    assert saved(tmp_path)["index"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_period_of_zero_saves_the_first_and_the_last(tmp_path):
    training = trainer()
    written = [saved(tmp_path)["index"] for _ in checkpointed(updates_of(training, 4), training, tmp_path, every=0)]
    assert written == [1] * 4
    assert saved(tmp_path)["index"] == 4


def test_stopping_a_run_saves_its_last_update(tmp_path):
    training = trainer()
    updates = checkpointed(updates_of(training, 5), training, tmp_path, every=0)
    list(islice(updates, 3))
    assert saved(tmp_path)["index"] == 1
    updates.close()
    state = saved(tmp_path)
    assert state["index"] == 3
    assert all(torch.equal(state["energy"][key], value) for key, value in training.energy.state_dict().items())


def test_an_exception_in_the_loop_does_not_save(tmp_path):
    training = trainer()

    def failing() -> Iterator[Update]:
        yield from updates_of(training, 2)
        training.update(examples().fetch(torch.arange(8)))
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        list(checkpointed(failing(), training, tmp_path, every=0))
    assert saved(tmp_path)["index"] == 1


def iter_nothing() -> Iterator[None]:
    """A generator, which cannot be pickled."""
    yield


def spoil(energy: nn.Module) -> None:
    with torch.no_grad():
        next(energy.parameters()).view(-1)[0] = math.inf


@pytest.mark.parametrize("leave", ["continue", "close"])
def test_nonfinite_weights_never_replace_a_checkpoint(tmp_path, leave):
    training = trainer()
    updates = checkpointed(updates_of(training, 5), training, tmp_path, every=2)
    list(islice(updates, 3))
    spoil(training.energy)
    with pytest.raises(Diverged, match=r"weights are not finite; try train\.gradient_penalty=1, a lower"):
        updates.close() if leave == "close" else list(updates)
    assert saved(tmp_path)["index"] == 2


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path):
    store(tmp_path, {"index": 1})
    with pytest.raises(TypeError, match="pickle"):
        store(tmp_path, {"index": iter_nothing()})
    assert saved(tmp_path) == {"index": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
