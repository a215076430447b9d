"""What every built-in watcher has in common: it yields each update, unchanged, and only on request."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_trainings import checkpointed, examples, trainer, updates_of

from ebmkit.errors import UsageError
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.update import Update
from ebmkit.runs.isolation import isolated
from ebmkit.watchers import draw_pictures, stop_if_diverged, write_metrics

WATCHERS: dict[str, Callable[[Iterator[Update], Trainer, Path], Iterator[Update]]] = {
    "divergence": lambda updates, _, __: stop_if_diverged(updates),
    "metrics": write_metrics,
    "checkpoints": lambda updates, training, folder: checkpointed(updates, training, folder, every=2),
    "pictures": lambda updates, training, folder: draw_pictures(
        updates, training, folder, examples(), 5, every=2, count=4, chains=2
    ),
    "isolated": lambda updates, _, __: isolated(lambda inner: (update for update in inner), updates, pytest.fail),
}


@pytest.mark.parametrize("name", WATCHERS)
def test_every_update_is_yielded_once_and_unchanged(name, tmp_path):
    training = trainer()
    updates = list(updates_of(training, 5))
    assert list(map(id, WATCHERS[name](iter(updates), training, tmp_path))) == list(map(id, updates))


@pytest.mark.parametrize("name", WATCHERS)
def test_no_update_is_requested_in_advance(name, tmp_path):
    training = trainer()
    watched = WATCHERS[name](updates_of(training, 5), training, tmp_path)
    assert training.index == 0
    next(watched)
    assert training.index == 1
    next(watched)
    assert training.index == 2
    watched.close()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: stop_if_diverged(iter([]), every=-1),
        lambda: stop_if_diverged(iter([]), limit=0.0),
        lambda: write_metrics(iter([]), trainer(), Path(), every=-1),
        lambda: checkpointed(iter([]), trainer(), Path(), every=-1),
        lambda: draw_pictures(iter([]), trainer(), Path(), examples(), 1, every=-1),
        lambda: draw_pictures(iter([]), trainer(), Path(), examples(), 1, count=0),
        lambda: draw_pictures(iter([]), trainer(), Path(), examples(), 1, count=4, chains=5),
    ],
)
def test_settings_out_of_range_are_refused_at_the_call(wrong):
    with pytest.raises(UsageError, match="must be"):
        wrong()
