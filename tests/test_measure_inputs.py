"""What all measures of two sets have in common: which inputs they accept, and what they do not depend on."""

import math

import pytest
import torch
from random_sets import kid, normal

from ebmkit.errors import UsageError
from ebmkit.evaluation import kernels, rows
from ebmkit.evaluation.frechet import frechet_distance
from ebmkit.evaluation.kernels import diversity, energy_distance, mmd
from ebmkit.evaluation.neighbours import precision_recall

PAIRED = [frechet_distance, kid, mmd, energy_distance, diversity, precision_recall]
every_pair = pytest.mark.parametrize("metric", PAIRED, ids=lambda metric: metric.__name__)


@pytest.mark.parametrize(
    "metric", [lambda real, fake: kid(real, fake).value, mmd, energy_distance, diversity, precision_recall]
)
def test_the_chunk_size_does_not_matter(metric, monkeypatch):
    real, fake = normal(40), normal(50, seed=1)
    whole = metric(real, fake)
    for module in (rows, kernels):
        monkeypatch.setattr(module, "CHUNK", 7)
    assert metric(real, fake) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("metric", [mmd, energy_distance, diversity, precision_recall, frechet_distance])
def test_the_origin_does_not_matter(metric):
    real, fake = normal(40), 2 * normal(50, seed=1)
    assert metric(real + 1e6, fake + 1e6) == pytest.approx(metric(real, fake), rel=1e-6)


@every_pair
@pytest.mark.parametrize("hole", [math.nan, math.inf])
def test_nonfinite_values_are_refused_and_counted(metric, hole):
    x = normal(40)
    x[3, 0] = x[3, 1] = x[8, 2] = hole
    with pytest.raises(UsageError, match=r"^2 of 40 in fake contain NaN or infinity; expected finite values$"):
        metric(normal(40), x)
    with pytest.raises(UsageError, match=r"^2 of 40 in real contain"):
        metric(x, normal(40))


@every_pair
def test_sets_of_different_widths_are_refused(metric):
    with pytest.raises(UsageError, match=r"^real has 4 .* and fake 3; expected the same number$"):
        metric(normal(40), normal(40, 3))


@every_pair
def test_too_few_rows_are_refused_in_one_line(metric):
    with pytest.raises(UsageError) as refused:
        metric(normal(1), normal(1))
    assert "\n" not in str(refused.value)


def test_tensors_without_rows_are_refused():
    for bad in (torch.zeros(5), torch.zeros(5, 0), torch.zeros(0, 3)):
        with pytest.raises(UsageError, match=r"real"):
            energy_distance(bad, normal(5, 3))


@every_pair
def test_single_precision_and_graphs_are_accepted(metric):
    real, fake = normal(40).float(), normal(40, seed=1).float()
    assert metric(real.requires_grad_(), fake) == metric(real.detach().double(), fake.double())
