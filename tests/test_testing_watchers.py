"""The kit's checks of watchers: good ones pass, and each planted fault fails in the check that is named for it."""

import dataclasses
import random
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ebmkit import UsageError
from ebmkit.watchers import watch
from ebmkit.testing.kit import HOMES, Failed, Subject, outcome
from ebmkit.testing.training import Training, same

CHECKS = {
    name: check
    for name, check in vars(__import__("ebmkit.testing.watchers", fromlist=["*"])).items()
    if name.startswith("watchers_")
}


def failures(target: Callable[..., Any], **settings: Any) -> dict[str, str]:
    """The checks that a watcher fails, with their reasons."""
    part = Subject("watcher", target, settings)
    ended = [outcome(name, check, part) for name, check in CHECKS.items()]
    return {one.check: one.reason for one in ended if one.verdict != "passed"}


def good(steps, trainer, folder, examples, iterations, config, state, *, every: int = 1):
    """Uses every fact, writes, and cleans up."""
    rng = torch.Generator().manual_seed(0)
    try:
        with (folder / "good.txt").open("a") as file:
            print(len(examples), iterations, sorted(config), sorted(state()), file=file)
            for step in steps:
                if step.index % every == 0:
                    start = trainer.init.sample(2, rng)
                    print(trainer.sampler.sample(trainer.model, start, rng).mean(), file=file)
                yield step
    finally:
        (folder / "end.txt").touch()


BUILT_IN = {
    "divergence": (watch.divergence, {}),
    "metrics": (watch.metrics, {}),
    "checkpoints": (watch.checkpoints, {"every": 2}),
    "pictures": (watch.pictures, {"every": 2, "count": 4, "chains": 2}),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_good_watcher_passes(check):
    check(Subject("watcher", good, {"every": 2}))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_watchers_conform(name, check):
    check(Subject("watcher", *BUILT_IN[name]))


def test_a_watcher_that_only_looks_at_images_passes():
    seen = set()

    def images_only(steps, examples):
        if len(examples.shape) != 3:
            raise UsageError("data must be images")
        for step in steps:
            seen.add(tuple(step.fake.shape[1:]))
            yield step

    assert failures(images_only) == {}
    assert seen == {(1, 8, 8)}


def skips(steps):
    yield from (step for step in steps if step.index % 2 == 0)


def repeats(steps):
    for step in steps:
        yield from (step, step)


def replaces(steps):
    yield from (dataclasses.replace(step) for step in steps)


def reorders(steps):
    for step in steps:
        yield from [later for later in [next(steps, None)] if later]
        yield step


def scales_the_samples(steps):
    for step in steps:
        step.fake.mul_(2)
        yield step


def hoards(steps):
    yield from list(steps)


def runs_when_made(steps):
    first = next(steps)
    return (step for step in chain([first], steps))


def draws_from_the_trainer(steps, trainer):
    for step in steps:
        torch.rand(1, generator=trainer.rng)
        yield step


def draws_from_torch(steps):
    for step in steps:
        torch.rand(1)
        yield step


def draws_from_numpy(steps):
    for step in steps:
        np.random.rand()  # noqa: NPY002 - this is the fault
        yield step


def draws_from_python(steps):
    for step in steps:
        random.random()
        yield step


def shrinks_the_weights(steps, trainer):
    for step in steps:
        with torch.no_grad():
            next(trainer.energy.parameters()).mul_(0.99)
        yield step


def slows_the_optimiser(steps, trainer):
    for step in steps:
        trainer.optimizer.param_groups[0]["lr"] *= 0.99
        yield step


def tells_the_init(steps, trainer):
    for step in steps:
        trainer.init.remember(step.fake * 0)
        yield step


def leaves_evaluation_mode_behind(steps, trainer):
    for step in steps:
        trainer.energy.eval()
        yield step


def will_not_leave(steps):
    for step in steps:
        try:
            yield step
        except GeneratorExit:
            yield step


def breaks_on_leaving(steps):
    file: Any = None
    try:
        yield from steps
    except GeneratorExit:
        file.close()
        raise


def goes_on_training_on_leaving(steps):
    try:
        yield from (step for step in steps)
    except GeneratorExit:
        raise
    finally:
        next(steps, None)


def cannot_be_closed(steps):
    return map(lambda step: step, steps)


def swallows_errors(steps):
    try:
        yield from steps
    except RuntimeError:
        return


def wraps_errors(steps):
    try:
        yield from steps
    except RuntimeError as error:
        raise ValueError("mine") from error


def exits_on_errors(steps):
    try:
        yield from steps
    except RuntimeError:
        raise SystemExit(1) from None


def writes_here(steps):
    for step in steps:
        Path("log.txt").write_text(str(step.index))
        yield step


def writes_beside_the_folder(steps, folder):
    for step in steps:
        folder.with_suffix(".log").write_text(str(step.index))
        yield step


def opens_when_made(steps, folder):
    file = (folder / "log.txt").open("w")

    def watched():
        with file:
            yield from steps

    return watched()


def makes_the_folder(steps, folder):
    folder.mkdir(parents=True, exist_ok=True)
    return (step for step in steps)


def keeps_the_first_folder():
    kept: list[Path] = []

    def watcher(steps, folder):
        kept.append(folder)
        for step in steps:
            with (kept[0].absolute() / "log.txt").open("a") as file:
                print(step.index, file=file)
            yield step

    return watcher


def writes_once():
    done = []

    def watcher(steps, folder):
        for step in steps:
            if not done:
                (folder / "log.txt").touch()
            done.append(step)
            yield step

    return watcher


def watches_once():
    done = []

    def watcher(steps, folder):
        if not done:
            yield from steps
        done.append(folder)

    return watcher


def makes_a_folder_of_its_own(steps, folder):
    (folder / "mine").mkdir()
    yield from steps


def counts_from_one(steps):
    yield from (step for _, step in zip(range(5), steps, strict=False) if step.index <= 5)


def refuses_all(steps):
    raise UsageError("data must be sound")


TOUCH, YIELD, ONE, NOTHING, LEAVE, ERRORS, FOLDER, TWICE, RESUME = CHECKS
# The fault, the checks that fail, and a word of the first one's reason.
FAULTS: list[tuple[Callable[..., Any], set[str], str]] = [
    (skips, {YIELD, RESUME}, "[2, 4] came out"),
    (repeats, {YIELD, RESUME}, "came out"),
    (reorders, {YIELD, ONE, RESUME}, "[2, 1, 4, 3, 5] came out"),
    (replaces, {YIELD}, "yield each step itself"),
    (scales_the_samples, {YIELD}, "wrote into fake of a step"),
    (hoards, {ONE}, "5 updates had run when step 1 came out"),
    (runs_when_made, {ONE}, "making it ran 1 updates"),
    (draws_from_the_trainer, {NOTHING}, "trainer's energy, optimizer, init, rng ended otherwise"),
    (draws_from_torch, {NOTHING}, "state of torch;"),
    (draws_from_numpy, {NOTHING}, "state of numpy;"),
    (draws_from_python, {NOTHING}, "state of Python;"),
    (shrinks_the_weights, {NOTHING}, "trainer's energy"),
    (slows_the_optimiser, {NOTHING}, "trainer's energy, optimizer"),
    (tells_the_init, {NOTHING}, "init"),
    (leaves_evaluation_mode_behind, {NOTHING}, "trainer's training mode ended"),
    (will_not_leave, {LEAVE}, "GeneratorExit"),
    (breaks_on_leaving, {LEAVE}, "AttributeError"),
    (goes_on_training_on_leaving, {LEAVE}, "1 more updates"),
    (cannot_be_closed, {LEAVE}, "gives a map"),
    (swallows_errors, {ERRORS}, "nothing came out"),
    (wraps_errors, {ERRORS}, "ValueError: mine came out"),
    (exits_on_errors, {ERRORS}, "SystemExit: 1 came out"),
    (writes_here, {FOLDER}, "wrote log.txt;"),
    (writes_beside_the_folder, {FOLDER}, "wrote runs/first.log;"),
    (opens_when_made, {TOUCH}, "FileNotFoundError"),
    (makes_the_folder, {TOUCH}, "making it wrote runs, runs/first;"),
    (makes_a_folder_of_its_own, {RESUME}, "FileExistsError"),
    (counts_from_one, {RESUME}, "[] came out"),
    (refuses_all, set(CHECKS), "of shape (2,): data must be sound; of shape (1, 8, 8): data must be sound;"),
]


@pytest.mark.parametrize(("fault", "expected", "word"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS])
def test_a_planted_fault_fails_in_the_check_that_is_named_for_it(fault, expected, word):
    found = failures(fault)
    assert set(found) == expected
    assert word in found[next(name for name in CHECKS if name in expected)]
    assert all("\n" not in reason for reason in found.values())


@pytest.mark.parametrize("fault", [keeps_the_first_folder, writes_once, watches_once])
def test_a_watcher_that_keeps_one_run_s_things_fails_when_it_is_used_twice(fault):
    with pytest.raises(Failed, match="not in the module"):
        CHECKS[TWICE](Subject("watcher", fault()))


def test_a_check_leaves_the_current_folder_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert failures(writes_here).keys() == {FOLDER}
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_checks_are_the_public_functions_and_each_says_what_it_demands():
    module = __import__("ebmkit.testing.watchers", fromlist=["*"])
    own = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    assert "watchers" in HOMES["watcher"]
    assert {name for name in own if not name.startswith("_")} == set(CHECKS)
    assert all(check.__doc__ for check in CHECKS.values())


def test_the_training_is_the_same_each_time_and_trains():
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
def test_trees_are_the_same_bit_for_bit(one, other, equal):
    assert same(one, other) is equal
