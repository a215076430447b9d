"""Evenly spaced points of long chains: which are given, and how few are kept."""

import pytest
import torch

from ebmkit.trajectories import EvenPoints, Point


def filled(count, columns, total=None):
    """The points of `count`, and the most that were kept on the way."""
    even, most = EvenPoints(columns, total), 0
    for step in range(count):
        even.add(Point(step, torch.zeros(1), None, torch.zeros(1)))
        most = max(most, len(even.kept))
    return [point.step for point in even.points()], most


def expected(count, columns):
    return sorted({round((count - 1) * part / (columns - 1)) for part in range(columns)})


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 12, 100, 1001])
@pytest.mark.parametrize("columns", [2, 3, 11])
def test_known_totals_give_exactly_even_points(count, columns):
    steps, most = filled(count, columns, count)
    assert steps == expected(count, columns)
    assert most <= columns


@pytest.mark.parametrize("count", [1, 2, 11, 100, 176])
def test_few_points_of_an_unknown_number_are_exact(count):
    assert filled(count, 11)[0] == expected(count, 11)


@pytest.mark.parametrize("count", [177, 1001, 5000])
def test_many_points_of_an_unknown_number_are_nearly_even(count):
    steps, most = filled(count, 11)
    assert most <= 177
    assert steps[0] == 0
    assert steps[-1] == count - 1
    assert len(steps) == 11
    worst = max(abs(one - other) for one, other in zip(steps, expected(count, 11), strict=True))
    assert worst <= count / 10 / 8


def test_a_chain_shorter_than_announced_gives_its_end():
    steps, _ = filled(50, 11, 101)
    assert steps[0] == 0
    assert steps[-1] == 49


def test_without_points_there_are_none():
    assert EvenPoints(3).points() == []
