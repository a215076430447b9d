"""Inception score and reconstruction error."""

import math

import pytest
import torch

from ebmkit.errors import UsageError
from ebmkit.evaluation.scores import inception_score, reconstruction_error


def test_inception_score_lies_from_1_to_the_classes():
    assert inception_score(torch.eye(10).repeat(3, 1)) == pytest.approx(10)
    assert inception_score(torch.eye(10)[[4] * 30]) == pytest.approx(1)
    assert inception_score(torch.full((30, 10), 0.1)) == pytest.approx(1)


@pytest.mark.parametrize("bad", [torch.full((4, 3), 0.5), torch.tensor([[1.5, -0.5]])], ids=["sum", "negative"])
def test_rows_that_are_not_probabilities_are_refused(bad):
    with pytest.raises(
        UsageError, match=r"^probabilities must not be negative and each row must sum to 1; pass softmax"
    ):
        inception_score(bad)


def test_reconstruction_error_is_the_mean_squared_error():
    x = torch.zeros(2, 1, 2, 2)
    y = x.clone()
    y[0, 0, 0, 0] = 2
    assert reconstruction_error(x, y) == 0.5
    assert reconstruction_error(x, x) == 0
    with pytest.raises(
        UsageError, match=r"^x has shape \(2, 1, 2, 2\) and its reconstruction \(2, 4\); expected the same$"
    ):
        reconstruction_error(x, y.flatten(1))


def test_scores_refuse_values_that_are_not_finite():
    x = torch.full((4, 2), 0.5)
    x[1, 1] = math.nan
    with pytest.raises(UsageError, match=r"^1 of 4 in probabilities contain NaN"):
        inception_score(x)
    with pytest.raises(UsageError, match=r"^1 of 4 in reconstruction contain NaN"):
        reconstruction_error(torch.zeros(4, 2), x)
