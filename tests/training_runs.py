"""Small runs that several test files train, resume and compare."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ebmkit.config.layers import typed
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.methods.update import Update
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.run import Run
from ebmkit.runs.training import new_run, resume_run

BASE = {
    "energy.width": "4",
    "sampler.steps": "3",
    "train.batch_size": "8",
    "train.iterations": "20",
    "train.device": "cpu",
    "watch.pictures.every": "0",
}
HMC = {"sampler.use": "hmc", "sampler.leapfrog": "2"}


def recipe(changes: dict[str, str] | None = None) -> Recipe:
    """The recipe of a small run with some changes."""
    return resolve([typed(f"{key}={value}" for key, value in {**BASE, **(changes or {})}.items())])


def begun(place: Path, of: Recipe) -> tuple[Run, Iterator[Update]]:
    """A new run whose folder is made, and its updates."""
    run = new_run(of, place)
    return run, run.train()


def trained(place: Path, changes: dict[str, str] | None = None) -> Run:
    """A run that has made all of its updates."""
    run, updates = begun(place, recipe(changes))
    list(updates)
    return run


def resumed(place: Path, *pairs: str) -> Run:
    """A run that was resumed and has made its remaining updates."""
    run = resume_run(place, typed(pairs))
    list(run.train())
    return run


def state_of(place: Path) -> dict[str, Any]:
    """The fields of the checkpoint of a run."""
    return dict(vars(read_checkpoint(place)))


def same(one: Any, other: Any) -> bool:
    """Whether two states are bitwise the same."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def metrics(place: Path) -> list[dict[str, float]]:
    """The lines of the metrics, without their times."""
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds_per_update"} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Assert that two runs are in bitwise the same state, with the same metrics and settings."""
    first, second = state_of(one), state_of(other)
    assert set(first["trainer"]) == {"index", "energy", "average", "optimizer", "init", "rng"}
    for key in first["trainer"]:
        assert same(first["trainer"][key], second["trainer"][key]), key
    for key in ("shape", "device", "data", "batch_rng"):
        assert same(first[key], second[key]), key
    assert first.keys() == second.keys()
    assert tomllib.loads(first["config"]) == tomllib.loads(second["config"])
    assert metrics(one) == metrics(other)
    configs = [tomllib.loads((place / "config.toml").read_text()) for place in (one, other)]
    assert configs[0] == configs[1]
