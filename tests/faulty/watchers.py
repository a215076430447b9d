"""Watchers with planted faults: `FAULTS` lists each with the checks that must fail, and words of the reason."""

import dataclasses
import random
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ebmkit import UsageError
from ebmkit.testing import checks, watchers

CHECKS = {name: check for name, check in checks("watcher").items() if check.__module__ == watchers.__name__}


def skips(updates):
    yield from (update for update in updates if update.index % 2 == 0)


def repeats(updates):
    for update in updates:
        yield from (update, update)


def replaces(updates):
    yield from (dataclasses.replace(update) for update in updates)


def reorders(updates):
    for update in updates:
        yield from [later for later in [next(updates, None)] if later]
        yield update


def scales_the_samples(updates):
    for update in updates:
        update.fake.mul_(2)
        yield update


def reads_ahead(updates):
    yield from list(updates)


def trains_when_built(updates):
    first = next(updates)
    return (update for update in chain([first], updates))


def draws_from_the_trainer(updates, trainer):
    for update in updates:
        torch.rand(1, generator=trainer.rng)
        yield update


def draws_from_torch(updates):
    for update in updates:
        torch.rand(1)
        yield update


def draws_from_numpy(updates):
    for update in updates:
        np.random.rand()  # noqa: NPY002 - this is the fault
        yield update


def draws_from_python(updates):
    for update in updates:
        random.random()
        yield update


def shrinks_the_weights(updates, trainer):
    for update in updates:
        with torch.no_grad():
            next(trainer.energy.parameters()).mul_(0.99)
        yield update


def lowers_the_learning_rate(updates, trainer):
    for update in updates:
        trainer.optimizer.param_groups[0]["lr"] *= 0.99
        yield update


def makes_the_init_remember(updates, trainer):
    for update in updates:
        trainer.init.remember(update.fake * 0)
        yield update


def leaves_evaluation_mode_on(updates, trainer):
    for update in updates:
        trainer.energy.eval()
        yield update


def yields_after_close(updates):
    for update in updates:
        try:
            yield update
        except GeneratorExit:
            yield update


def raises_on_close(updates):
    file: Any = None
    try:
        yield from updates
    except GeneratorExit:
        file.close()
        raise


def trains_on_close(updates):
    try:
        yield from (update for update in updates)
    except GeneratorExit:
        raise
    finally:
        next(updates, None)


def cannot_be_closed(updates):
    return map(lambda update: update, updates)


def swallows_errors(updates):
    try:
        yield from updates
    except RuntimeError:
        return


def wraps_errors(updates):
    try:
        yield from updates
    except RuntimeError as error:
        raise ValueError("mine") from error


def exits_on_errors(updates):
    try:
        yield from updates
    except RuntimeError:
        raise SystemExit(1) from None


def writes_in_the_current_folder(updates):
    for update in updates:
        Path("log.txt").write_text(str(update.index))
        yield update


def writes_beside_the_folder(updates, folder):
    for update in updates:
        folder.with_suffix(".log").write_text(str(update.index))
        yield update


def opens_a_file_when_built(updates, folder):
    file = (folder / "log.txt").open("w")

    def watched():
        with file:
            yield from updates

    return watched()


def creates_the_folder(updates, folder):
    folder.mkdir(parents=True, exist_ok=True)
    return (update for update in updates)


def keeps_the_first_folder():
    kept: list[Path] = []

    def watcher(updates, folder):
        kept.append(folder)
        for update in updates:
            with (kept[0].absolute() / "log.txt").open("a") as file:
                print(update.index, file=file)
            yield update

    return watcher


def writes_once():
    done = []

    def watcher(updates, folder):
        for update in updates:
            if not done:
                (folder / "log.txt").touch()
            done.append(update)
            yield update

    return watcher


def watches_once():
    done = []

    def watcher(updates, folder):
        if not done:
            yield from updates
        done.append(folder)

    return watcher


def creates_its_own_folder(updates, folder):
    (folder / "mine").mkdir()
    yield from updates


def counts_from_one(updates):
    yield from (update for _, update in zip(range(5), updates, strict=False) if update.index <= 5)


def refuses_all(updates):
    raise UsageError("data must be valid")


TOUCH, YIELD, ONE, NOTHING, LEAVE, ERRORS, FOLDER, TWICE, RESUME = CHECKS
# The fault, the checks that must fail, and words of the reason of the first.
FAULTS: list[tuple[Callable[..., Any], set[str], str]] = [
    (skips, {YIELD, RESUME}, "[2, 4] came out"),
    (repeats, {YIELD, RESUME}, "came out"),
    (reorders, {YIELD, ONE, RESUME}, "[2, 1, 4, 3, 5] came out"),
    (replaces, {YIELD}, "yield each update itself"),
    (scales_the_samples, {YIELD}, "wrote to fake of an update"),
    (reads_ahead, {ONE}, "5 updates had run when update 1 came out"),
    (trains_when_built, {ONE}, "building it ran 1 updates"),
    (draws_from_the_trainer, {NOTHING}, "trainer's energy, optimizer, init, rng ended differently"),
    (draws_from_torch, {NOTHING}, "state of torch;"),
    (draws_from_numpy, {NOTHING}, "state of numpy;"),
    (draws_from_python, {NOTHING}, "state of Python;"),
    (shrinks_the_weights, {NOTHING}, "trainer's energy"),
    (lowers_the_learning_rate, {NOTHING}, "trainer's energy, optimizer"),
    (makes_the_init_remember, {NOTHING}, "init"),
    (leaves_evaluation_mode_on, {NOTHING}, "trainer's training mode ended"),
    (yields_after_close, {LEAVE}, "GeneratorExit"),
    (raises_on_close, {LEAVE}, "AttributeError"),
    (trains_on_close, {LEAVE}, "1 more updates"),
    (cannot_be_closed, {LEAVE}, "returned a map"),
    (swallows_errors, {ERRORS}, "nothing came out"),
    (wraps_errors, {ERRORS}, "ValueError: mine came out"),
    (exits_on_errors, {ERRORS}, "SystemExit: 1 came out"),
    (writes_in_the_current_folder, {FOLDER}, "wrote log.txt;"),
    (writes_beside_the_folder, {FOLDER}, "wrote runs/first.log;"),
    (opens_a_file_when_built, {TOUCH}, "FileNotFoundError"),
    (creates_the_folder, {TOUCH}, "building it wrote runs, runs/first;"),
    (creates_its_own_folder, {RESUME}, "FileExistsError"),
    (counts_from_one, {RESUME}, "[] came out"),
    (refuses_all, set(CHECKS), "of shape (2,): data must be valid; of shape (1, 8, 8): data must be valid;"),
]
