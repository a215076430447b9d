"""Measures compared with torchmetrics, if it is installed."""

from types import SimpleNamespace

import pytest
import torch
from random_sets import normal, rng
from torch import nn

from ebmkit.evaluation.frechet import frechet_distance
from ebmkit.evaluation.kernels import kernel_distance
from ebmkit.evaluation.scores import inception_score


class Identity(nn.Module):
    """The identity, as features for torchmetrics."""

    num_features = 8

    def forward(self, x):
        return x


@pytest.fixture
def image():
    pytest.importorskip("torchmetrics", exc_type=ImportError)
    from torchmetrics.image import fid, inception, kid

    return SimpleNamespace(fid=fid, inception=inception, kid=kid)


def fed(metric, real, fake):
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute()


def test_torchmetrics_agrees_on_the_frechet_distance(image):
    real, fake = normal(300, 8), 1.2 * normal(200, 8, 1) + 0.1
    expected = fed(image.fid.FrechetInceptionDistance(feature=Identity()), real, fake)
    assert frechet_distance(real, fake) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.filterwarnings("ignore:Metric .Kernel Inception Distance. will save")
def test_torchmetrics_agrees_on_the_kernel_distance(image):
    real, fake = normal(40, 8), 1.2 * normal(40, 8, 1) + 0.1
    found = kernel_distance(real, fake, rng(3), subsets=4)
    draw = rng(3)
    parts = [x[torch.randperm(40, generator=draw)].tensor_split(4) for x in (real, fake)]
    kids = [image.kid.KernelInceptionDistance(feature=Identity(), subsets=1, subset_size=10) for _ in range(4)]
    each = [float(fed(kid, a, b)[0]) for kid, a, b in zip(kids, *parts, strict=True)]
    assert found.value == pytest.approx(sum(each) / 4, rel=1e-3)


@pytest.mark.filterwarnings("ignore:Metric .InceptionScore. will save", "ignore:std.*degrees of freedom")
def test_torchmetrics_agrees_on_the_inception_score(image):
    logits = 2 * normal(100, 8)
    metric = image.inception.InceptionScore(feature=Identity(), splits=1)
    metric.update(logits)
    assert inception_score(logits.softmax(1)) == pytest.approx(float(metric.compute()[0]), rel=1e-3)
