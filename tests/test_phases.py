"""Methods with phases: each is tried before a run, timed by a dry run, and not made again after `--from`."""

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from commands import invoked
from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.methods import Method, role
from ebmkit.methods.update import Update
from ebmkit.runs.cost import estimate
from ebmkit.runs.training import new_run, resume_run
from ebmkit.shortrun import ShortRun
from ebmkit.study.cost import Cost

SETTINGS = {
    "method": {"use": "two", "first": 4},
    "data": {"use": "gaussians", "count": 50},
    "energy": {"width": 4, "depth": 1},
    "train": {"iterations": 10, "batch_size": 8, "device": "cpu", "threads": 1},
    "watch": {"pictures": {"every": 0}},
}


class Two(Method):
    """Without chains at first, with chains later.

    Args:
        first: How many updates the first phase has.
        fails: Whether the second cannot make an update.
    """

    roles: ClassVar = {
        "energy": role("energy", "mlp"),
        "sampler": role("sampler", "langevin", steps=3),
        "init": role("init", "gaussian"),
        "optimizer": role("optimizer", "adam"),
    }

    def __init__(self, parts: Any, *, first: int = 4, fails: bool = False) -> None:
        self.first, self.fails, self.phases = first, fails, (0, first)
        self.energy, self.sampler, self.init = parts.energy(), parts.sampler(), parts.init()
        self.optimizer = parts.optimizer(self.energy)
        self.chains = parts.chains(self.energy)

    @property
    def later(self) -> bool:
        return self.index >= self.first

    def update(self, batch: Tensor) -> Update:
        if self.later and self.fails:
            raise ValueError("no second phase")
        if self.later:
            self.sampler.sample(self.chains(self.energy), self.init.sample(len(batch), self.rng), self.rng)
        return self.finish(self.descend(self.energy(batch).square().mean(), self.optimizer))

    @property
    def passes_outside(self) -> int:
        return 7 if self.later else 1

    @classmethod
    def continued(cls, settings: Mapping[str, Any], updates: int) -> Mapping[str, Any]:
        return {"first": max(0, settings["first"] - updates)}

    def short_run_of(self, networks: Mapping[str, Any]) -> ShortRun:
        return ShortRun(networks["energy"], self.sampler, self.init)


@pytest.fixture(autouse=True)
def two(registered):
    registered("method", "two", Two)


def settings(**method: Any) -> dict[str, Any]:
    return {**SETTINGS, "method": {**SETTINGS["method"], **method}}


def test_a_phase_that_cannot_make_an_update_is_refused_before_the_run(tmp_path):
    with pytest.raises(UsageError, match=r"^method 'two' cannot make an update .*no second phase"):
        new_run(settings(fails=True), tmp_path / "a")


def test_a_dry_run_counts_what_each_phase_costs():
    found = estimate(new_run(settings()))
    assert (found["network_passes_in_the_chain"], found["network_passes_per_update"]) == (3, 10)
    assert [found[f"phase_{number}_updates"] for number in (1, 2)] == [4, 6]
    assert [found[f"phase_{number}_network_passes_per_update"] for number in (1, 2)] == [1, 10]
    assert found["updates"] == 10
    assert found["seconds_per_update"] == pytest.approx(
        0.4 * found["phase_1_seconds_per_update"] + 0.6 * found["phase_2_seconds_per_update"], abs=1e-3
    )


def test_a_dry_run_has_only_the_phases_that_are_left(tmp_path):
    list(new_run({**settings(), "train": {**SETTINGS["train"], "iterations": 5}}, tmp_path / "a").train())
    found = estimate(resume_run(tmp_path / "a", {"train": {"iterations": 7}}))
    assert (found["updates"], found["network_passes_per_update"]) == (2, 10)
    assert "phase_1_updates" not in found
    assert estimate(new_run(settings(first=20)))["network_passes_per_update"] == 1


def test_the_command_says_that_it_made_an_update_of_each_phase():
    words = ("--method", "two", "--data", "gaussians", "--iterations", 5, "--dry-run", "--json")
    stdout, stderr = invoked("train", *words)
    assert json.loads(stdout)["phase_2_updates"] == 1
    assert "one update of each phase made" in stderr


def test_a_study_counts_the_passes_of_the_phase_that_an_update_is_of(tmp_path):
    run = new_run(settings(first=1), tmp_path / "a")
    cost = Cost(run, tmp_path)
    for _ in range(2):
        run.update(torch.zeros(8, 2))
    assert cost.passes == 1 + 10


def test_a_run_that_starts_from_another_makes_the_rest_of_a_phase(tmp_path):
    short = {**settings(), "train": {**SETTINGS["train"], "iterations": 3}}
    list(new_run(short, tmp_path / "a").train())
    run = new_run({}, origin=tmp_path / "a")
    assert run.trainer.first == run.recipe.sections["method"]["first"] == 1
    assert new_run({"method": {"first": 2}}, origin=tmp_path / "a").trainer.first == 2
    printed, _ = invoked("train", "--from", tmp_path / "a", "--print-config")
    assert re.search(r"^first = 1 +# --from, after 3 updates$", printed, re.MULTILINE)
