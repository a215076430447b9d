"""Precision and recall: against their definition, and for sets with known values."""

import pytest
from random_sets import normal

from ebmkit.evaluation.neighbours import precision_recall


def test_precision_and_recall_equal_their_definition():
    real, fake = normal(60, 2), 0.7 * normal(50, 2, 1) + 0.5

    def covered(centres, x):
        radii = [sorted(float((c - o).norm()) for o in centres)[2] for c in centres]
        return sum(any((p - c).norm() <= r for c, r in zip(centres, radii, strict=True)) for p in x) / len(x)

    found = precision_recall(real, fake, neighbours=2)
    assert found == pytest.approx((covered(real, fake), covered(fake, real)))
    assert 0 < found.precision < found.recall < 1
    assert found != precision_recall(real, fake, neighbours=3)


def test_a_set_covers_itself_even_with_repeated_examples():
    x = 5 + normal(30, 20)
    assert precision_recall(x, x) == (1, 1)
    repeated = x.repeat(5, 1)
    assert precision_recall(repeated, repeated) == (1, 1)
    assert precision_recall(repeated, repeated + 0.01) == (0, 0)


def test_a_collapsed_set_is_precise_but_recalls_nothing():
    x = normal(100, 3)
    assert precision_recall(x, x + 100) == (0, 0)
    collapsed = x[:1] + 1e-3 * normal(100, 3, 1)
    assert precision_recall(x, collapsed).precision == 1
    assert precision_recall(x, collapsed).recall < 0.05
