"""Generalised moment matching: features, their means, and the noise of these."""

import math
from dataclasses import dataclass

import pytest
import torch
from refusing import refused
from torch import Generator, nn

from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet
from ebmkit.evaluation.moments import FeatureMeans, feature_means, hidden_features

Z = 5


def rng(seed=0):
    return Generator().manual_seed(seed)


def bowl(x):
    return x.square().sum(1) / 2


@pytest.mark.parametrize(
    ("energy", "width"),
    [
        (MLP((1, 8, 8), width=5), 5),
        (ConvNet((1, 8, 8), width=3), 6 * 16),
        (ResNet((1, 8, 8), width=3, stages=1, spectral_norm=True), 3),
    ],
)
def test_the_last_layer_maps_features_to_the_energy(energy, width):
    x = torch.rand(6, 1, 8, 8, generator=rng())
    h = hidden_features(energy, x, batch=4)
    assert h.shape == (6, width)
    assert not h.requires_grad
    last = [layer for layer in energy.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    energy.eval()
    torch.testing.assert_close(h @ last.weight.flatten() + last.bias, energy(x))
    assert not any(layer._forward_pre_hooks for layer in energy.modules())


def test_the_last_layer_is_the_last_one_called():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(3, 1), nn.Linear(2, 3)

        def forward(self, x):
            return self.last(self.first(x).relu())

    assert hidden_features(Backwards(), torch.rand(4, 2)).shape == (4, 3)


def test_an_energy_without_layers_has_no_features():
    refused("has no features", hidden_features, bowl, torch.rand(4, 2))

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, x):
            return self.layer(x.reshape(-1, 1)).reshape(len(x), -1).sum(1)

    mixed = Mixed()
    refused("Mixed has no features", hidden_features, mixed, torch.rand(4, 2))
    assert not mixed.layer._forward_pre_hooks


@dataclass
class Straight:
    """Examples whose features are themselves."""

    width: int

    def energy(self):
        return nn.Linear(self.width, 1)

    def draws(self, n, seed, shift=0.0):
        return torch.randn(n, self.width, generator=rng(seed)) + torch.arange(1.0, self.width + 1) + shift


def test_feature_means_have_standard_errors():
    world = Straight(2)
    data, samples = world.draws(50, 0), world.draws(80, 1)
    found = feature_means(world.energy(), data, samples)
    torch.testing.assert_close(found.data, data.double().mean(0))
    torch.testing.assert_close(found.model, samples.double().mean(0))
    torch.testing.assert_close(found.data_error, data.double().std(0) / math.sqrt(50))
    torch.testing.assert_close(found.model_error, samples.double().std(0) / math.sqrt(80))
    refused("number of samples must be at least 2", feature_means, world.energy(), data, samples[:1])
    refused("number of examples must be at least 2", feature_means, world.energy(), data[:1], samples)


def moment_z(shift):
    """By how many standard errors the means of data and of samples shifted by `shift` differ: the worst."""
    world = Straight(20)
    found = feature_means(world.energy(), world.draws(4000, 0), world.draws(4000, 1, shift))
    error = (found.data_error.square() + found.model_error.square()).sqrt()
    return float(((found.model - found.data) / error).abs().max())


def test_shifted_means_differ_and_equal_ones_do_not():
    assert moment_z(0.0) < Z
    assert moment_z(0.2) > Z


def test_distance_correlation_and_noise_are_the_known_ones():
    one = torch.ones(2, dtype=torch.float64)
    data = torch.tensor([3.0, 4.0], dtype=torch.float64)
    found = FeatureMeans(data, data + torch.tensor([0.0, 1.0]), 0.3 * one, 0.4 * one)
    assert found.distance == pytest.approx(1 / 5)
    assert found.noise == pytest.approx(math.sqrt(2 * 0.25) / 5)
    assert found.correlation == pytest.approx(1)
    assert FeatureMeans(data, data.flip(0), one, one).correlation == pytest.approx(-1)
    assert math.isnan(FeatureMeans(data[:1], data[:1], one[:1], one[:1]).correlation)


def test_noise_is_the_distance_between_equal_distributions():
    world = Straight(500)
    found = feature_means(world.energy(), world.draws(300, 0), world.draws(200, 1))
    assert found.distance == pytest.approx(found.noise, rel=Z / math.sqrt(2 * 500))
    shifted = feature_means(world.energy(), world.draws(300, 0), world.draws(200, 1, 0.2))
    assert shifted.distance > 1.5 * shifted.noise
