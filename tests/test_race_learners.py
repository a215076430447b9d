"""The race of trainings: its contenders are the same network, and the plain loop is the algorithm of ebmkit."""

from dataclasses import dataclass, replace
from itertools import count

import pytest
import torch
from benchmark_cases import contenders, equality, learners, learning

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError


@dataclass(frozen=True)
class Quick(learning.Task):
    """A task with short chains and small batches."""

    def recipe(self, preset, seed, **train):
        quick = super().recipe(preset, seed, **train)
        quick = quick.with_value("sampler", "steps", 3, "a test")
        return quick.with_value("train", "batch_size", 8, "a test")


@pytest.fixture
def task():
    """Every update takes a quarter of a second, so that ten seconds are enough for forty."""
    ticks = count(0, 0.25)
    examples = Examples(digits(limit=64))
    return Quick(
        {"use": "digits", "limit": 64},
        examples,
        examples.fetch(torch.arange(64)),
        2,
        1,
        10.0,
        None,
        lambda: next(ticks),
    )


def weights(energy):
    return equality.flat(energy).tolist()


def test_ebmkit_and_the_plain_loop_learn_the_same(task, tmp_path):
    found = equality.check_equality(task, 3, tmp_path, {"again": learners.plain})
    assert found.pop("again") == 0
    assert list(found) == ["autograd", "accelerated"]
    assert max(found.values()) < 1e-4


def louder_data(images, batch, noise, rng):
    return learning.real_batches(images, batch, 1.1 * noise, rng)


def louder_chains(optimizer, energy, rule):
    return contenders.plain_update(optimizer, energy, replace(rule, noise=1.1 * rule.noise))


@pytest.mark.parametrize(("name", "another"), [("real_batches", louder_data), ("plain_update", louder_chains)])
def test_another_algorithm_does_not_race(task, tmp_path, monkeypatch, name, another):
    monkeypatch.setattr(learners, name, another)
    with pytest.raises(UsageError, match="after 3 updates these are not where the plain loop is"):
        equality.check_equality(task, 3, tmp_path, {})


def test_another_library_that_learns_otherwise_does_not_race(task, tmp_path):
    other = lambda task, seed, folder: learners.plain(task, seed + 1, folder)  # noqa: E731
    with pytest.raises(UsageError, match=r"relative to its path: \{'other': "):
        equality.check_equality(task, 3, tmp_path, {"other": other})


def test_contenders_start_from_the_same_weights(task, tmp_path):
    made = {name: make(task, 5, tmp_path) for name, (_, make) in learners.LEARNERS.items()}
    assert list(made) == ["default", "paper", "paper-auto", "plain"]
    initial = weights(task.network(5))
    assert all(weights(learner.energy) == initial for learner in made.values())
    assert weights(task.network(6)) != initial


def test_samples_are_the_same_for_the_same_weights_and_noise(task, tmp_path):
    drawn = []
    for make in (learners.plain, lambda *given: learners.paper("fp32", *given)):
        learner = make(task, 5, tmp_path)
        torch.manual_seed(0)
        drawn.append(learner.sample(5))
    torch.testing.assert_close(*drawn, atol=1e-4, rtol=1e-4)


def test_schedules_of_the_default_are_stretched_to_the_time(task):
    asked, found = task.recipe(None, 0).train, learners.stretched(task, 0).train
    assert (asked.iterations, asked.schedule_from) == (400, 250)
    assert (found.iterations, found.schedule_from) == (40, 25)


def test_a_speed_is_measured_for_a_part_of_the_time(task):
    # The first ten updates are slow, as on a machine that was busy for a moment.
    ticks = iter([0.0, *range(1, 11), *(10 + 0.25 * index for index in range(1, 500))])
    found = learners.stretched(replace(task, seconds=1000.0, clock=lambda: next(ticks)), 0).train
    assert found.iterations == 2500


def test_another_network_of_the_default_is_named(task, tmp_path):
    class Wide(Quick):
        def recipe(self, preset, seed, **train):
            found = super().recipe(preset, seed, **train)
            return found if preset else found.with_value("energy", "width", 3, "a test")

    same, other = (
        learners.default(task, 0, tmp_path / "a"),
        learners.default(Wide(**vars(task)), 0, tmp_path / "b"),
    )
    assert "OTHER" not in same.recipe
    assert other.recipe.endswith("OTHER INITIAL WEIGHTS than the other contenders")


def test_the_preset_of_the_default_is_the_one_asked_for(task, tmp_path):
    found = learners.default(replace(task, preset="short-run-code"), 0, tmp_path).recipe
    assert found.startswith("short-run-code: uniform starts, K = 3, adam 0.0001")
    assert found.endswith(", 40 updates planned")
    with pytest.raises(UsageError, match="unknown preset 'short-code'"):
        learners.stretched(replace(task, preset="short-code"), 0)


def test_what_was_measured_is_not_measured_again(task, tmp_path, monkeypatch):
    first = learners.default(task, 0, tmp_path)
    monkeypatch.setattr(learners, "stretched", None)
    assert learners.default(task, 0, tmp_path).recipe == first.recipe


@pytest.mark.parametrize("name", learners.LEARNERS)
def test_a_restored_contender_trains_on_as_before(task, tmp_path, name):
    _, make = learners.LEARNERS[name]
    with torch.random.fork_rng():
        whole = make(task, 1, tmp_path)
        whole.update()
        torch.save(whole.state_dict(), tmp_path / "state.pt")
        random = torch.get_rng_state()
        whole.update()
        again = make(task, 1, tmp_path)
        again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        torch.set_rng_state(random)
        again.update()
    assert weights(again.energy) == weights(whole.energy) != weights(task.network(1))
