"""The scalars of an update: their names, and that they are read from the device once."""

import pytest
from small_trainings import made_up, trainer, updates_of
from torch import Tensor

from ebmkit.watchers import scalars_of, stop_if_diverged, write_metrics


def test_scalars_are_means_by_name():
    assert scalars_of(made_up(1)) == {
        "loss": 0.5,
        "gap": 1.5,
        "real_energy": 2.0,
        "fake_energy": 0.5,
        "gradient_norm": 7.0,
        "displacement": 0.25,
    }


@pytest.fixture
def reads(monkeypatch):
    """Every read of a tensor's value by Python, recorded: on a GPU each of them waits for the device."""
    made: list[str] = []

    def recorded(name):
        original = getattr(Tensor, name)

        def read(self, *given):
            made.append(name)
            return original(self, *given)

        return read

    for name in ("tolist", "item", "numpy", "__float__", "__int__", "__bool__", "__array__"):
        monkeypatch.setattr(Tensor, name, recorded(name))
    return made


def test_all_watchers_together_read_an_update_once(reads, tmp_path):
    training = trainer()
    updates = list(updates_of(training, 3))
    reads.clear()
    for update in write_metrics(stop_if_diverged(iter(updates)), training, tmp_path):
        scalars_of(update)  # as the progress line does
    assert reads == ["tolist"] * 3


def test_an_update_that_no_watcher_is_due_for_is_not_read(reads, tmp_path):
    training = trainer()
    updates = list(updates_of(training, 3))
    reads.clear()
    list(write_metrics(stop_if_diverged(iter(updates), every=0), training, tmp_path, every=0))
    assert reads == []


def test_a_watcher_cannot_change_the_scalars_of_others():
    update = made_up(1)
    scalars_of(update).clear()
    assert scalars_of(update)["gap"] == 1.5
