"""The Fréchet distance: against its definition, and for sets with known distances."""

import math

import pytest
import torch
from random_sets import normal

from ebmkit.errors import UsageError
from ebmkit.evaluation.frechet import MeanAndCovariance, frechet_distance, frechet_note


def test_chunks_have_the_mean_and_covariance_of_the_whole():
    x = 3 + normal(60, 5) * torch.arange(1.0, 6.0)
    pieces = MeanAndCovariance(5)
    for piece in x.tensor_split([1, 1, 20]):
        pieces.merge(MeanAndCovariance.of(piece)) if len(piece) else pieces.merge(MeanAndCovariance(5))
    updated = MeanAndCovariance(5)
    updated.update(x[:13])
    updated.update(x[13:])
    for moments in (pieces, updated):
        assert moments.n == 60
        torch.testing.assert_close(moments.mean, x.mean(0))
        torch.testing.assert_close(moments.covariance, torch.cov(x.T))


def test_covariance_far_from_the_origin_is_precise():
    x = normal(200, 3)
    far = MeanAndCovariance(3)
    for piece in (x + 1e6).split(20):
        far.update(piece)
    torch.testing.assert_close(far.covariance, torch.cov(x.T), rtol=1e-8, atol=1e-8)


def test_distance_of_a_scaled_and_shifted_set_is_known():
    x, move = normal(50, 6) @ normal(6, 6, 1), normal(1, 6, 2)
    found = frechet_distance(x, 1.5 * x + move)
    step = (0.5 * x.mean(0) + move[0]).square().sum()
    assert found == pytest.approx(float(step + 0.25 * torch.cov(x.T).trace()), rel=1e-10)


def test_distance_is_symmetric_and_0_for_the_same_set():
    x, y = normal(50, 6), normal(70, 6, 1) @ normal(6, 6, 2)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert 0 <= frechet_distance(x, x) < 1e-10
    assert frechet_distance(MeanAndCovariance.of(x), MeanAndCovariance.of(y)) == frechet_distance(x, y)


def test_distance_equals_that_of_the_matrix_square_root():
    linalg = pytest.importorskip("scipy.linalg")
    x, y = normal(50, 6) @ normal(6, 6, 1), normal(50, 6, 2) @ normal(6, 6, 3)
    a, b = torch.cov(x.T), torch.cov(y.T)
    root = torch.as_tensor(linalg.sqrtm((a @ b).numpy()).real)
    expected = (x.mean(0) - y.mean(0)).square().sum() + (a + b - 2 * root).trace()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)


def test_constant_features_do_not_change_the_distance():
    x, y = normal(50, 3), normal(50, 3, 1)
    still = torch.full((50, 2), 0.1, dtype=torch.float64)
    found = frechet_distance(torch.cat([x, still], 1), torch.cat([y, still], 1))
    assert found == pytest.approx(frechet_distance(x, y), rel=1e-6)


def test_d_rows_are_refused_and_one_more_is_accepted():
    with pytest.raises(UsageError, match=r"^6 rows are too few for the covariance of 6 features: give at least 7"):
        frechet_distance(normal(6, 6), normal(50, 6))
    assert math.isfinite(frechet_distance(normal(7, 6), normal(50, 6)))


def test_few_rows_have_a_note_and_many_have_none():
    assert frechet_note(24, 6) == ""
    assert (
        frechet_note(23, 6)
        == "n=23 is close to the number of features, 6: strongly biased upwards; use n of at least 24"
    )
