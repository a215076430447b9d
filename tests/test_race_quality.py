"""The race of trainings: when contenders are looked at, and when they reach a quality."""

import math
from itertools import pairwise

import pytest
from benchmark_cases import quality

Point, Curve = quality.Point, quality.Curve


def points(*values):
    return [Point(10.0 * index, value) for index, value in enumerate(values)]


def test_each_moment_is_root_two_times_the_one_before():
    moments = quality.moments(1800, 11)
    assert moments[-1] == 1800
    assert moments[0] == pytest.approx(1800 / 32)
    assert [late / early for early, late in pairwise(moments)] == pytest.approx([math.sqrt(2)] * 10)


def test_every_look_ends_a_slice_and_no_slice_is_too_long():
    looks = quality.moments(100, 5)
    ends = quality.slices(looks, 7.0)
    assert [end for end in ends if end in looks] == looks
    assert max(late - early for early, late in pairwise([0.0, *ends])) <= 7.0
    assert ends == sorted(set(ends))


def test_a_short_race_has_one_slice_for_each_look():
    assert quality.slices([1.0, 2.0, 4.0], 10.0) == [1.0, 2.0, 4.0]


def test_a_quality_is_reached_on_the_line_between_two_looks():
    assert quality.seconds_to(6.0, points(10.0, 8.0, 4.0)) == pytest.approx(15.0)
    assert quality.seconds_to(8.0, points(10.0, 8.0, 4.0)) == pytest.approx(10.0)


def test_a_quality_counts_from_where_it_is_first_reached():
    assert quality.seconds_to(6.0, points(10.0, 2.0, 9.0, 1.0)) == pytest.approx(5.0)


def test_a_quality_that_is_never_reached_has_no_seconds():
    assert quality.seconds_to(3.9, points(10.0, 8.0, 4.0)) is None
    assert quality.seconds_to(math.nan, points(10.0, 8.0)) is None


def test_no_line_is_drawn_over_samples_without_a_value():
    assert quality.seconds_to(6.0, points(10.0, None, 4.0)) == 20.0


def test_a_table_gives_medians_and_ratios_within_each_seed():
    # The machine is twice as slow for the second seed, but the ratio within each seed stays 4.
    plain = {seed: Curve([Point(0, 9.0), Point(slow * 40, 1.0)], 0.5) for seed, slow in ((0, 1), (1, 2))}
    fast = {seed: Curve([Point(0, 9.0), Point(slow * 10, 1.0)], 0.5) for seed, slow in ((0, 1), (1, 2))}
    table = quality.quality_table("Distance", {"plain loop": plain, "fast": fast}, "plain loop")
    assert table.title == "Distance: seconds to 1 (1 to 1), the last value of the plain loop"
    assert table.rows[0][3:] == ["60 (40 to 80)", "1 times (1 to 1)"]
    assert table.rows[1][3:] == ["15 (10 to 20)", "4 times (4 to 4)"]
    assert "Real against real: 0.5." in table.notes[0]


def test_a_table_says_what_starts_have_and_what_is_not_reached():
    curves = {
        "plain loop": {0: Curve(points(9.0, 5.0), 0.5), 1: Curve(points(9.0, 5.0), 0.5)},
        "fitted": {0: Curve(points(4.0, 3.0), 0.5), 1: Curve(points(4.0, 3.0), 0.5)},
        "slow": {0: Curve(points(9.0, 8.0), 0.5), 1: Curve(points(9.0, 8.0), 0.5)},
        "unsteady": {0: Curve(points(9.0, 5.0), 0.5), 1: Curve(points(9.0, 8.0), 0.5)},
    }
    rows = {name: cells for name, *cells in quality.quality_table("Distance", curves, "plain loop").rows}
    assert rows["fitted"] == ["4 (4 to 4)", "3 (3 to 3)", "0: its starts", "-"]
    assert rows["slow"][2:] == ["not reached", "-"]
    assert rows["unsteady"][2:] == ["10, in 1 of 2 seeds", "1 times"]


def test_the_last_value_is_the_last_that_was_measured():
    assert Curve(points(9.0, 5.0, None), 0.5).last == 5.0
    assert math.isnan(Curve(points(None), 0.5).last)
