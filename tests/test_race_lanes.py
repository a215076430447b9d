"""The race of trainings: contenders take turns, are looked at, stop, and resume. No time is asserted."""

import json
from itertools import count

import pytest
import torch
from benchmark_cases import learning, racing

from ebmkit.errors import UsageError


class Walk:
    """A contender whose weight walks at random, drawn from the global random state; `ends` is its last update."""

    def __init__(self, ends=1000, fails=1000):
        self.energy = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.energy.weight)
        self.made, self.ends, self.fails = 0, ends, fails

    def update(self):
        self.made += 1
        if self.made > self.fails:
            raise RuntimeError("no more\nmemory")
        if self.made <= self.ends:
            with torch.no_grad():
                self.energy.weight += torch.randn(1, 1)
        return self.made <= self.ends

    def learner(self, task, seed, folder):
        torch.manual_seed(seed)
        sample = lambda n: self.energy.weight.detach() + torch.randn(n, 1)  # noqa: E731
        return learning.Learner("a walk", self.energy, self.update, sample, torch.zeros, {"energy": self.energy})


NOW = count()
TASK = learning.Task({}, None, None, 1, 1, 25.0, None, clock=lambda: next(NOW))  # every update takes one second


def lane(folder, walk=None, seed=0):
    walk = walk or Walk()
    return racing.Lane("walk", walk.learner, TASK, seed, folder), walk


def measured(samples, starts):
    if not samples.isfinite().all():
        raise UsageError("3 of 9 in samples contain NaN")
    return [{"name": "mean", "value": float(samples.mean())}]


def test_lanes_advance_in_turns_and_are_looked_at_on_time(tmp_path, monkeypatch):
    monkeypatch.setattr(racing, "judged", lambda samples, starts, examples, features: measured(samples, starts))
    seen = []
    lanes = [lane(tmp_path / name)[0] for name in "ab"]
    for one in lanes:
        advance = one.advance
        one.advance = lambda until, one=one, advance=advance: (seen.append((one, until)), advance(until))
    looked = [(one, one.seconds) for one in racing.race(lanes, [5.0, 25.0], 9, TASK, None)]
    assert seen == [(one, end) for end in (5.0, 15.0, 25.0) for one in lanes]
    assert looked == [(lanes[0], 5), (lanes[1], 5), (lanes[0], 25), (lanes[1], 25)]


def test_turns_and_looks_do_not_change_a_training(tmp_path):
    (whole, by_itself), (one, in_turns), (other, _) = (lane(tmp_path / name) for name in "abc")
    whole.advance(6)
    for end in (2, 4, 6):
        one.advance(end)
        one.look(end, 9, measured)
        other.advance(end)
        torch.randn(3)
    assert by_itself.energy.weight.item() == in_turns.energy.weight.item() != 0


def test_the_global_random_state_is_left_as_it_was(tmp_path):
    walk = Walk()
    before = torch.get_rng_state()
    one, _ = lane(tmp_path / "a", walk)
    one.advance(3)
    one.look(0, 9, measured)
    assert torch.equal(before, torch.get_rng_state())


def test_a_race_that_was_killed_resumes_from_the_last_look(tmp_path):
    whole, by_itself = lane(tmp_path / "a")
    whole.advance(8)
    first, _ = lane(tmp_path / "b")
    first.advance(3)
    first.look(0, 9, measured)
    first.advance(5)  # these updates are lost
    again, resumed = lane(tmp_path / "b")
    assert (again.seconds, again.updates) == (3, 3)
    again.advance(8)
    assert resumed.energy.weight.item() == by_itself.energy.weight.item()
    assert not again.look(0, 9, measured)
    assert again.look(1, 9, measured)
    assert [moment["seconds"] for moment in again.result()["moments"]] == [3, 8]


def test_a_look_saves_samples_and_values(tmp_path):
    one, walk = lane(tmp_path / "a")
    one.advance(2)
    one.look(4, 9, measured)
    saved = json.loads((tmp_path / "a" / "moment-04.json").read_text())
    samples = torch.load(tmp_path / "a" / "samples-04.pt")
    assert samples.shape == (9, 1)
    assert saved["updates"] == 2
    assert saved["measures"][0]["value"] == pytest.approx(float(samples.float().mean()), abs=1e-2)
    assert abs(saved["measures"][0]["value"] - walk.energy.weight.item()) < 5 / 3


def test_a_lane_without_new_updates_is_not_looked_at_again(tmp_path):
    one, _ = lane(tmp_path / "a", Walk(ends=2))
    one.advance(5)
    assert one.look(0, 9, measured)
    assert not one.look(1, 9, measured)


def test_a_recipe_that_ends_stops_its_lane(tmp_path):
    one, _ = lane(tmp_path / "a", Walk(ends=2))
    one.advance(5)
    assert (one.seconds, one.updates, one.stopped) == (2, 2, "its recipe ends after 2 updates")


def test_an_error_in_an_update_stops_its_lane_in_one_line(tmp_path):
    one, _ = lane(tmp_path / "a", Walk(fails=3))
    one.advance(5)
    assert one.updates == 3
    assert one.stopped == "RuntimeError: no more memory"


def test_a_lane_whose_samples_are_not_finite_stops(tmp_path):
    one, walk = lane(tmp_path / "a")
    one.advance(2)
    walk.energy.weight.data.fill_(torch.nan)
    one.look(0, 9, measured)
    one.advance(9)
    assert one.seconds == 2
    assert one.stopped == "diverged: 3 of 9 in samples contain NaN"
    again, _ = lane(tmp_path / "a")
    assert again.stopped == one.stopped


def test_samples_that_cannot_be_measured_stop_only_their_lane(tmp_path):
    def unmeasurable(samples, starts):
        raise torch.linalg.LinAlgError("the eigenvalues\ndid not converge")

    one, _ = lane(tmp_path / "a")
    one.advance(2)
    assert one.look(0, 9, unmeasurable)
    assert one.stopped == "diverged: the eigenvalues did not converge"
    assert one.result()["moments"] == [{"seconds": 2, "updates": 2, "measures": []}]
