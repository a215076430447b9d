"""The alarm of a turning training, on made-up curves."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from ebmkit.watchers.alarms import BOUNDS, Alarm, AlarmDetector, Scale

QUIET = {"gap": 0.2, "gradient_norm": 3.0, "displacement": 0.5, "end_gradient": 0.4, "real_energy": 1.0}
CHAIN = Scale(diagonal=20.0, noise=0.1, step_size=1.0)
Factor = Callable[[int], float]


def curve(index: int, rng: np.random.Generator, **factors: Factor) -> dict[str, float]:
    """Scalars like those of a healthy training: gap and gradients fluctuate, the displacement hardly does."""
    spread = {"gap": 0.8, "gradient_norm": 0.5, "displacement": 0.03, "end_gradient": 0.1, "real_energy": 0.3}
    values = {name: usual * math.exp(spread[name] * rng.standard_normal()) for name, usual in QUIET.items()}
    values["gap"] *= 1 if rng.random() < 0.5 else -1
    values |= {name: values[name] * factor(index) for name, factor in factors.items()}
    return values | {"fake_energy": values["real_energy"] - values["gap"]}


def first(
    count: int, seed: int = 0, past: dict[str, list[float]] | None = None, scale: Scale = CHAIN, **factors: Factor
) -> tuple[int, Alarm] | None:
    """The update of the first alarm in `count` updates, with the alarm; None if there is none."""
    detector, rng = AlarmDetector({} if past is None else past), np.random.default_rng(seed)
    for index in range(1, count + 1):
        found = detector.alarm(curve(index, rng, **factors), scale)
        if found is not None:
            return index, found
    return None


def jump(at: int, factor: float) -> Factor:
    return lambda index: factor if index > at else 1.0


def growth(start: int, doubling: float) -> Factor:
    """Exponential growth that begins after update `start`."""
    return lambda index: 2 ** (max(0, index - start) / doubling)


@pytest.mark.parametrize("seed", range(20))
def test_a_steady_training_sets_off_no_alarm(seed):
    assert first(1500, seed) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_sudden_rise_is_an_alarm_within_five_updates(seed):
    index, alarm = first(300, seed, displacement=jump(200, 6.0))
    assert 200 < index <= 205
    assert alarm.name == "displacement"
    assert alarm.seen["displacement"].rise > BOUNDS["displacement"]
    assert 0.4 < alarm.seen["displacement"].low < alarm.seen["displacement"].high < 0.6


@pytest.mark.parametrize("doubling", [3, 6, 10])
def test_fast_growth_is_an_alarm_within_thirty_updates(doubling):
    grown = dict.fromkeys(("displacement", "end_gradient", "gap", "gradient_norm"), growth(400, doubling))
    index, _ = first(600, **grown)
    assert 400 < index <= 400 + 30 + doubling


@pytest.mark.parametrize("doubling", [60, 200])
def test_slow_growth_is_no_alarm(doubling):
    grown = dict.fromkeys(("displacement", "end_gradient", "gap", "gradient_norm"), growth(0, doubling))
    assert first(300, scale=Scale(1e9, 0.01, 1.0), **grown) is None


def test_gap_and_gradients_do_not_suffice_one_by_one():
    for name in ("gap", "gradient_norm", "end_gradient"):
        assert first(300, **{name: jump(200, 12.0)}) is None, name


def test_two_that_agree_are_an_alarm():
    index, alarm = first(300, gap=jump(200, 50.0), end_gradient=jump(200, 12.0))
    assert 200 < index <= 210
    assert alarm.name == "end_gradient"


def test_steps_as_long_as_their_noise_are_no_alarm():
    quiet = Scale(20.0, noise=0.5, step_size=0.0)
    assert first(300, scale=quiet, displacement=jump(200, 6.0)) is None
    assert first(300, scale=quiet, gap=jump(200, 50.0), end_gradient=jump(200, 12.0)) is None


def test_clipped_steps_are_judged_by_their_drift():
    clipped = Scale(20.0, noise=0.1, step_size=1.0)
    index, _ = first(300, scale=clipped, gradient_norm=jump(200, 50.0), end_gradient=jump(200, 12.0))
    assert 200 < index <= 210


def test_without_known_noise_the_displacement_needs_another():
    unknown = Scale(20.0)
    assert first(300, scale=unknown, displacement=jump(200, 6.0)) is None
    assert first(300, scale=unknown, displacement=jump(200, 6.0), gap=jump(200, 50.0)) is not None


@pytest.mark.parametrize("seed", range(5))
def test_heavy_tails_are_no_alarm(seed):
    rng = np.random.default_rng(100 + seed)

    def tail(index: int) -> float:
        return 1 + abs(float(rng.standard_cauchy()))

    assert first(1000, seed, gap=tail, gradient_norm=tail) is None


@pytest.mark.parametrize("length", [1, 2])
def test_outliers_are_no_alarm(length):
    def outlier(index: int) -> float:
        return 100.0 if index % 100 < length else 1.0

    grown = dict.fromkeys(("displacement", "end_gradient", "gap", "gradient_norm"), outlier)
    assert first(1000, scale=Scale(1e9, 0.1, 1.0), **grown) is None


def test_a_wild_start_that_calms_down_is_no_alarm():
    def wild(index: int) -> float:
        return 1 + 30 * math.exp(-index / 40)

    grown = dict.fromkeys(("displacement", "end_gradient", "gap", "gradient_norm"), wild)
    assert first(1000, **grown) is None


def test_a_turn_after_a_wild_start_is_an_alarm():
    def wild(index: int) -> float:
        return 1 + 30 * math.exp(-index / 20) + (50.0 if index > 500 else 0.0)

    index, _ = first(600, scale=Scale(1e9, 0.1, 1.0), displacement=wild)
    assert 500 < index <= 505


def test_constant_curves_are_no_alarm():
    detector = AlarmDetector({})
    for constant in (QUIET, dict.fromkeys(QUIET, 0.0)):
        values = constant | {"fake_energy": 0.0}
        assert all(detector.alarm(values, CHAIN) is None for _ in range(400))


def test_short_runs_are_compared_with_the_diagonal_only():
    assert first(50, displacement=jump(30, 30.0)) is None
    index, alarm = first(50, displacement=jump(30, 60.0))
    assert 30 < index <= 33
    assert (alarm.name, dict(alarm.seen)) == ("displacement", {})
    assert alarm.value > CHAIN.diagonal


@pytest.mark.parametrize("stop", [1, 30, 140, 205])
def test_a_resumed_run_sets_off_the_same_alarm(stop):
    def turned(index: int) -> float:
        return growth(200, 8)(index)

    straight = first(400, displacement=turned)
    past: dict[str, list[float]] = {}
    rng = np.random.default_rng(0)
    before, after = AlarmDetector(past), None
    for index in range(1, 401):
        if index == stop + 1:
            after = AlarmDetector({name: list(values) for name, values in past.items()})
        found = (after or before).alarm(curve(index, rng, displacement=turned), CHAIN)
        if found is not None:
            assert (index, found) == straight
            return
    raise AssertionError("no alarm")


def test_the_past_does_not_grow_without_bound():
    past: dict[str, list[float]] = {}
    assert first(1000, past=past) is None
    assert {len(values) for values in past.values()} == {220}
    assert set(past) == set(BOUNDS)


def test_long_steps_of_the_first_updates_are_no_alarm():
    assert first(50, displacement=lambda index: 60.0 if index <= 15 else 1.0) is None
    index, _ = first(50, displacement=lambda index: 60.0)
    assert index == 21
