"""Data sets without files: the digits of scikit-learn, drawn shapes, and points in the plane."""

import math

import pytest
import torch
from sklearn.datasets import load_digits

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.data.shapes import draw, render, shapes
from ebmkit.data.toys import gaussians, moons, rings
from ebmkit.errors import UsageError


def test_digits_are_those_of_scikit_learn_exactly():
    data = load_digits()
    images = Examples(digits()).fetch(torch.arange(1797))
    assert images.shape == (1797, 1, 8, 8)
    assert torch.equal(images[:, 0].double(), torch.from_numpy(data.images / 8 - 1))
    assert images.unique().tolist() == [k / 8 - 1 for k in range(17)]


def test_digits_can_be_fitted_and_selected():
    target = load_digits().target
    images = digits(size=32, fit="resize", channels=3, classes=(4, 7), limit=100)
    assert len(images) == 100
    assert images[0].shape == (3, 32, 32)
    assert set(target[images.indices]) == {4, 7}


@pytest.mark.parametrize(("size", "channels"), [(8, 3), (32, 3), (37, 1)])
def test_shapes_are_images_of_the_given_size(size, channels):
    images = shapes(size=size, channels=channels, count=1100)
    assert images.shape == (1100, channels, size, size)
    assert images.dtype == torch.float32
    assert images.min() >= -1
    assert images.max() <= 1
    assert len(images.flatten(1).unique(dim=0)) == 1100


def test_shapes_repeat_with_their_seed():
    assert torch.equal(shapes(count=5, seed=3), shapes(count=5, seed=3))
    assert not torch.equal(shapes(count=5, seed=3), shapes(count=5, seed=4))


AREAS = {0: math.pi, 1: 2.0, 2: 3 * math.sqrt(3) / 4, 3: math.pi * 0.75}


@pytest.mark.parametrize("kind", AREAS)
def test_each_shape_has_its_area_and_is_inside_the_image(kind):
    drawing = draw(200, 1, torch.Generator().manual_seed(0))
    drawing = drawing._replace(kind=torch.full((200,), kind), colour=torch.ones(200, 1), background=torch.zeros(200))
    coverage = (render(drawing, 128) + 1) / 2
    area = coverage.mean((1, 2, 3)) * 4
    # Edges are antialiased, so the sum of the pixels is the area except at the corners.
    torch.testing.assert_close(area, AREAS[kind] * drawing.radius**2, rtol=0.02, atol=0)


def test_shapes_have_smooth_edges_and_a_dark_background():
    images = (shapes(size=64, count=500) + 1) / 2
    corner = images[:, :, 0, 0]
    assert corner.max() < 0.5
    assert (corner <= 0.15).float().mean() > 0.9
    bright = images.amax((1, 2, 3))
    assert bright.min() > 0.4
    # A hard edge has two values; an antialiased one has more in between.
    assert all(len(image[0].unique()) > 10 for image in images[:20])


def test_every_kind_of_shape_is_equally_likely():
    kinds = draw(10_000, 3, torch.Generator().manual_seed(0)).kind
    z = (kinds.bincount() - 2500) / math.sqrt(10_000 * 0.25 * 0.75)
    assert len(z) == 4
    assert z.abs().max() < 5


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (shapes, {"size": 7}, "size must be at least 8"),
        (shapes, {"channels": 2}, "channels must be 1 or 3"),
        (shapes, {"count": 0}, "count must be"),
        (gaussians, {"count": 0}, "count must be"),
        (gaussians, {"modes": 0}, "modes must be"),
        (gaussians, {"radius": -1.0}, "radius must be"),
        (gaussians, {"scale": math.nan}, "scale must be"),
        (rings, {"count": 0}, "count must be"),
        (rings, {"rings": 0}, "rings must be"),
        (rings, {"scale": -1.0}, "scale must be"),
        (moons, {"count": 0}, "count must be"),
        (moons, {"scale": -1.0}, "scale must be"),
    ],
)
def test_generated_data_refuse_settings_out_of_range(make, wrong, message):
    with pytest.raises(UsageError, match=message):
        make(**wrong)


@pytest.mark.parametrize("make", [gaussians, rings, moons])
def test_toys_are_points_that_repeat_with_their_seed(make):
    points = make(count=500)
    assert points.shape == (500, 2)
    assert points.dtype == torch.float32
    assert torch.equal(points, make(count=500))
    assert not torch.equal(points, make(count=500, seed=1))
    assert points.abs().max() < 1.8


def variance_z(values, variance):
    """z of the mean square of Gaussian values with mean 0 against their variance."""
    n = values.numel()
    return float((values.double().square().mean() / variance - 1) / math.sqrt(2 / n))


def mean_z(values, variance):
    return float(values.double().mean() / math.sqrt(variance / values.numel()))


def test_the_gaussians_are_equally_likely_and_of_given_width():
    # They are so narrow that each point is from the nearest mode.
    points = gaussians(count=20_000, modes=8, radius=0.8, scale=0.02)
    angles = torch.arange(8) * math.pi / 4
    centres = 0.8 * torch.stack([angles.cos(), angles.sin()], 1)
    nearest = torch.cdist(points, centres).argmin(1)
    counts = nearest.bincount(minlength=8)
    assert ((counts - 2500).abs() / math.sqrt(20_000 / 8 * 7 / 8)).max() < 5
    noise = points - centres[nearest]
    assert abs(variance_z(noise, 0.02**2)) < 5
    assert abs(mean_z(noise[:, 0], 0.02**2)) < 5
    assert abs(mean_z(noise[:, 1], 0.02**2)) < 5


def test_the_rings_are_equally_likely_and_equally_spaced():
    points = rings(count=20_000, rings=3, scale=0.01)
    radii = points.norm(dim=1) * 3
    counts = radii.round().long().bincount(minlength=4)
    assert counts[0] == 0
    assert ((counts[1:] - 20_000 / 3).abs() / math.sqrt(20_000 / 3 * 2 / 3)).max() < 5
    assert (radii - radii.round()).abs().max() < 0.2
    # The angles are uniform: cos and sin have mean 0 and variance 1/2.
    for coordinate in (points / points.norm(dim=1, keepdim=True)).T:
        assert abs(mean_z(coordinate, 0.5)) < 5


def test_the_moons_are_two_half_circles_in_range():
    points = moons(count=5000, scale=0.0).double() * 1.5 + torch.tensor([0.5, 0.25])
    upper = (points.norm(dim=1) - 1).abs() < 1e-5
    lower = ((points - torch.tensor([1.0, 0.5])).norm(dim=1) - 1).abs() < 1e-5
    assert bool((upper | lower).all())
    assert abs(float(upper.sum() - 2500) / math.sqrt(1250)) < 5
    assert points[upper, 1].min() > -1e-5
    assert points[lower, 1].max() < 0.5 + 1e-5
    assert moons(count=5000, scale=0.0).abs().max() <= 1 + 1e-6


def test_the_noise_of_rings_and_moons_has_its_given_width():
    for make in (lambda scale: rings(count=20_000, scale=scale), lambda scale: moons(count=20_000, scale=scale)):
        noise = make(0.05) - make(0.0)
        assert abs(variance_z(noise, 0.05**2)) < 5
        assert abs(variance_z(noise, 0.052**2)) > 5
