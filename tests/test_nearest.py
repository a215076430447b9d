"""Nearest examples, and reconstruction by principal components."""

import pytest
import torch
from refusing import refused
from torch import Generator

from ebmkit.data.examples import Examples
from ebmkit.evaluation.nearest import nearest_examples, pca_reconstruction


def rng(seed=0):
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_nearest_examples_are_those_of_all_pairs(batch):
    data, x = torch.rand(40, 1, 3, 3, generator=rng(1)), torch.rand(5, 1, 3, 3, generator=rng(2))
    found = nearest_examples(x, Examples(data), count=3, batch=batch)
    every = (x.flatten(1)[:, None] - data.flatten(1)).norm(dim=2)
    distance, order = every.sort(dim=1)
    torch.testing.assert_close(found.distance, distance[:, :3])
    assert torch.equal(found.indices, order[:, :3])


def test_the_first_of_two_copies_is_found_at_distance_zero():
    data = torch.rand(10, 300, generator=rng()) + 100
    data[7] = data[4]
    found = nearest_examples(data[4:5], Examples(data), count=2, batch=3)
    assert found.indices.tolist() == [[4, 7]]
    assert found.distance.tolist() == [[0, 0]]
    refused("count must be at least 1 and at most 10", nearest_examples, data, Examples(data), count=11)


def test_pca_keeps_the_components_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(2, 12, generator=generator)
    data = Examples((torch.randn(300, 2, generator=generator) @ plane / 20 + 0.1).reshape(300, 3, 4))
    before = torch.get_rng_state()
    inside = data.fetch(torch.arange(5))
    torch.testing.assert_close(pca_reconstruction(inside, data, components=2).float(), inside)
    assert torch.equal(torch.get_rng_state(), before)
    normal = torch.linalg.svd(plane)[2][2].reshape(1, 3, 4)  # a direction that the plane does not have
    torch.testing.assert_close(pca_reconstruction(inside + normal, data, components=2).float(), inside)
    one = pca_reconstruction(inside, data, components=1).float()
    assert (one - inside).abs().max() > 1e-3
    torch.testing.assert_close(pca_reconstruction(inside, data, components=99, most=200).float(), inside)
