"""Starts from a mixture that is fitted to data: its clusters, its moments, and what its settings refuse."""

import math
from typing import Any

import pytest
import torch
from sklearn.cluster import KMeans
from torch import Generator, Tensor

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.inits.clusters import clustered, first_centres
from ebmkit.inits.mixture import GaussianMixture
from ebmkit.testing.statistics import moments_z, z

N = 20_000


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def groups() -> tuple[Tensor, Tensor]:
    """300 points in three groups of unequal sizes and spreads, in random order, and the group of each."""
    generator = rng(1)
    group = torch.tensor([0] * 60 + [1] * 90 + [2] * 150)[torch.randperm(300, generator=generator)]
    middle = torch.tensor([[5.0, 0.0, 0.0], [-5.0, 3.0, 0.0], [0.0, -6.0, 4.0]])
    mixing = torch.randn(3, 3, 3, generator=generator) / 2
    points = torch.randn(300, 1, 3, generator=generator) @ mixing[group]
    return middle[group] + points.squeeze(1), group


def fitted(x: Tensor, **settings: Any) -> GaussianMixture:
    return GaussianMixture(tuple(x.shape[1:]), Examples(x), **settings)


def test_separate_groups_are_clusters():
    x, group = groups()
    labels = clustered(x.double(), 3)
    pairs = {(int(one), int(other)) for one, other in zip(labels, group, strict=True)}
    assert len(pairs) == 3
    assert torch.equal(labels, clustered(x.double(), 3))


def test_clusters_of_digits_are_as_tight_as_those_of_sklearn():
    x = Examples(digits()).fetch(torch.arange(600)).flatten(1).double()
    labels = clustered(x, 10)
    means = torch.stack([x[labels == label].mean(0) for label in range(10)])
    theirs = KMeans(10, n_init=1, random_state=0).fit(x.numpy()).inertia_
    assert float((x - means[labels]).square().sum()) < 1.05 * theirs
    # A fixed point: each row is nearest to the mean of its own cluster.
    assert torch.equal(torch.cdist(x, means).argmin(1), labels)


def test_first_centres_are_apart():
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 100.0])] * 3).double()
    assert len(first_centres(corners.repeat(40, 1), 8).unique(dim=0)) == 8


@pytest.mark.parametrize("rows", [torch.zeros(6, 2), torch.tensor([[0.0, 0.0]] * 5 + [[1.0, 0.0]])], ids=["one", "two"])
def test_equal_examples_leave_no_cluster_empty(rows: Tensor):
    for count in (1, 3, 6):
        assert torch.bincount(clustered(rows.double(), count), minlength=count).min() >= 1


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_each_component_has_the_moments_of_its_cluster(shrinkage: float):
    x, group = groups()
    init = fitted(x, components=3, shrinkage=shrinkage, scale=0.8, ridge=0.1)
    members = [x[group == label].double() for label in range(3)]
    own = [torch.cov(rows.T, correction=0) for rows in members]
    pooled = torch.cat([rows - rows.mean(0) for rows in members]).T
    pooled = pooled @ pooled.T / 300
    draws = init.sample(N, rng(2))
    nearest = torch.cdist(draws, torch.stack([rows.mean(0).float() for rows in members])).argmin(1)
    for label, rows in enumerate(members):
        found = draws[nearest == label]
        covariance = 0.8 * ((1 - shrinkage) * own[label] + shrinkage * pooled) + 0.1 * torch.eye(3)
        assert z((nearest == label).double(), len(rows) / 300) < 5
        assert moments_z(found, rows.mean(0), covariance) < 5
        assert moments_z(found, rows.mean(0), 1.2 * covariance) > 5


def test_one_component_is_the_fitted_gaussian():
    x, _ = groups()
    flat = x.double()
    draws = fitted(x, components=1, shrinkage=0.7, ridge=0.01).sample(N, rng(3))
    assert moments_z(draws, flat.mean(0), torch.cov(flat.T, correction=0) + 0.01 * torch.eye(3)) < 5


def test_the_centre_of_a_mixture_is_the_mean_of_the_data():
    x, _ = groups()
    torch.testing.assert_close(fitted(x.view(300, 1, 3), components=3).centre, x.mean(0).view(1, 3))


def test_a_restored_mixture_draws_the_same_bits():
    x, _ = groups()
    first, second = fitted(x, components=3), fitted(x[:3], components=3)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(9, rng(4)), second.sample(9, rng(4)))
    with pytest.raises(ValueError, match="the fitted start has tensors of shapes"):
        fitted(x, components=4).load_state_dict(first.state_dict())


def test_single_examples_are_components_with_the_ridge():
    x = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    draws = fitted(x, components=2, shrinkage=0.0, ridge=0.04).sample(N, rng(5))
    offset = draws - 4 * (draws[:, :1] > 2) * torch.tensor([1.0, 0.0])
    assert moments_z(offset, torch.zeros(2), 0.04 * torch.eye(2)) < 5


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"components": 0}, "components"),
        ({"shrinkage": 1.1}, "shrinkage"),
        ({"shrinkage": math.nan}, "shrinkage"),
        ({"scale": -1.0}, "scale"),
        ({"ridge": 0.0}, "ridge"),
        ({"limit": 0}, "limit"),
    ],
    ids=str,
)
def test_mixtures_out_of_range_are_refused(settings: dict[str, Any], name: str):
    with pytest.raises(UsageError, match=f"^{name} must be "):
        fitted(torch.rand(5, 2), **settings)


def test_more_components_than_examples_are_refused():
    with pytest.raises(UsageError, match="components must be at most the number of examples, 5, not 6"):
        fitted(torch.rand(5, 2), components=6).sample(1, rng())


def test_mixtures_of_large_images_are_refused():
    with pytest.raises(UsageError, match=r"components 10 of .* more than 16,777,216: write -s init\.use=fitted"):
        GaussianMixture((3, 64, 64), Examples(torch.zeros(1, 1)))
