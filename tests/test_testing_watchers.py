"""The kit's checks of watchers: valid ones pass, and each planted fault fails exactly its checks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from faulty.watchers import (
    CHECKS,
    FAULTS,
    FOLDER,
    TWICE,
    keeps_the_first_folder,
    watches_once,
    writes_in_the_current_folder,
    writes_once,
)

from ebmkit import UsageError
from ebmkit import watchers as built_in
from ebmkit.testing import Failed, Subject, Training, watchers
from ebmkit.testing.kit import HOMES, outcome
from ebmkit.testing.training import same


def failures(target: Callable[..., Any], **settings: Any) -> dict[str, str]:
    """The checks that a watcher fails, with their reasons."""
    part = Subject("watcher", target, settings)
    ended = [outcome(name, check, part) for name, check in CHECKS.items()]
    return {one.check: one.reason for one in ended if one.verdict != "passed"}


def good(updates, trainer, folder, examples, iterations, config, save, *, every: int = 1):
    """Uses every fact, writes, and cleans up."""
    rng = torch.Generator().manual_seed(0)
    try:
        with (folder / "good.txt").open("a") as file:
            print(len(examples), iterations, sorted(config), file=file)
            for update in updates:
                if update.index % every == 0:
                    save()
                    start = trainer.init.sample(2, rng)
                    print(trainer.sampler.sample(trainer.model, start, rng).mean(), file=file)
                yield update
    finally:
        (folder / "end.txt").touch()


BUILT_IN = {
    "divergence": (built_in.stop_if_diverged, {}),
    "metrics": (built_in.write_metrics, {}),
    "checkpoints": (built_in.write_checkpoints, {"every": 2}),
    "pictures": (built_in.draw_pictures, {"every": 2, "count": 4, "chains": 2}),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_valid_watcher_passes_every_check(check):
    check(Subject("watcher", good, {"every": 2}))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_watchers_conform(name, check):
    check(Subject("watcher", *BUILT_IN[name]))


def test_a_watcher_of_images_passes():
    seen = set()

    def images_only(updates, examples):
        if len(examples.shape) != 3:
            raise UsageError("data must be images")
        for update in updates:
            seen.add(tuple(update.fake.shape[1:]))
            yield update

    assert failures(images_only) == {}
    assert seen == {(1, 8, 8)}


@pytest.mark.parametrize(("fault", "expected", "word"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS])
def test_a_fault_fails_exactly_its_checks(fault, expected, word):
    found = failures(fault)
    assert set(found) == expected
    assert word in found[next(name for name in CHECKS if name in expected)]
    assert all("\n" not in reason for reason in found.values())


@pytest.mark.parametrize("fault", [keeps_the_first_folder, writes_once, watches_once])
def test_state_kept_between_runs_is_detected(fault):
    with pytest.raises(Failed, match="not in the module"):
        CHECKS[TWICE](Subject("watcher", fault()))


def test_a_check_restores_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert failures(writes_in_the_current_folder).keys() == {FOLDER}
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_checks_are_public_and_documented():
    own = {name for name, value in vars(watchers).items() if getattr(value, "__module__", "") == watchers.__name__}
    assert "watchers" in HOMES["watcher"]
    assert {name for name in own if not name.startswith("_")} == set(CHECKS)
    assert all(check.__doc__ for check in CHECKS.values())


def test_the_training_is_reproducible_and_trains():
    one, two = Training((2,)), Training((2,))
    start = one.condition()["energy"]["scale"].clone()
    list(one.updates())
    list(two.updates())
    assert same(one.condition(), two.condition())
    assert not same(one.condition()["energy"]["scale"], start)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": [torch.ones(2), 1]}, {"a": [torch.ones(2), 1]}, True),
        ({"a": [torch.ones(2), 1]}, {"a": [torch.ones(2), 2]}, False),
        ({"a": torch.ones(2)}, {"a": torch.ones(2) + 1e-7}, False),
        ({"a": torch.ones(2)}, {"a": torch.ones(2).double()}, False),
        ({"a": 1}, {"b": 1}, False),
        ([1], [1, 2], False),
    ],
)
def test_trees_are_compared_bitwise(one, other, equal):
    assert same(one, other) is equal
