"""Images and how they are fitted; digits, shapes and toys."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from ebmkit.data.handwritten import digits
from ebmkit.data.examples import Examples
from ebmkit.data.images import Images, existing, fitted, selected
from ebmkit.data.drawings import draw, render, shapes
from ebmkit.data.toys import gaussians, moons, rings
from ebmkit.errors import UsageError


def random_images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from(["pad", "resize"]),
)
def test_fitted_images_have_the_shape_asked_for_and_stay_in_range(height, width, size, before, channels, fit):
    images = random_images(2, before, height, width)
    if fit == "pad" and max(height, width) > size:
        with pytest.raises(UsageError, match=r"data\.fit=resize"):
            fitted(images, size, fit, channels)
        return
    result = fitted(images, size, fit, channels)
    assert result.shape == (2, channels or before, size, size)
    assert result.min() >= -1
    assert result.max() <= 1


def test_padding_centres_on_black():
    result = fitted(torch.ones(1, 1, 2, 3), 6, "pad", None)[0, 0]
    expected = torch.full((6, 6), -1.0)
    expected[2:4, 1:4] = 1
    assert torch.equal(result, expected)


def test_resizing_crops_the_longer_side_centrally():
    image = torch.zeros(1, 1, 4, 10)
    image[..., 3:7] = random_images(4, 4)
    assert torch.equal(fitted(image, 4, "resize", None)[0, 0], image[0, 0, :, 3:7])
    tall = image.transpose(2, 3)
    assert torch.equal(fitted(tall, 4, "resize", None)[0, 0], tall[0, 0, 3:7])


def test_shrinking_is_antialiased():
    # Where only the two nearest pixels are looked at, these stripes look white.
    stripes = torch.tensor([-1.0, 1, 1, -1]).repeat(8).expand(1, 1, 32, 32)
    assert fitted(stripes, 8, "resize", None)[..., 1:-1].abs().max() < 0.1
    plain = torch.nn.functional.interpolate(stripes, (8, 8), mode="bilinear")
    assert plain.min() == 1


@pytest.mark.parametrize(("side", "size"), [(7, 3), (7, 6), (8, 2), (9, 3), (11, 3)])
def test_rounding_does_not_make_white_whiter(side, size):
    assert fitted(torch.ones(1, 1, side, side), size, "resize", None).max() <= 1


def test_grey_is_the_rec_601_luma_and_colour_repeats_grey():
    colours = torch.eye(3).view(3, 3, 1, 1)
    assert fitted(colours, None, "pad", 1).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])
    white = torch.ones(1, 3, 2, 2)
    torch.testing.assert_close(fitted(white, None, "pad", 1), torch.ones(1, 1, 2, 2))
    grey = random_images(2, 1, 4, 4)
    assert torch.equal(fitted(grey, None, "pad", 3), grey.expand(2, 3, 4, 4))


def test_images_that_need_nothing_are_left_alone():
    images = random_images(2, 3, 4, 5)
    assert fitted(images, None, "resize", 3) is images
    assert fitted(images[..., :4], 4, "resize", None).equal(images[..., :4])


def test_four_channels_become_neither_one_nor_three():
    with pytest.raises(UsageError, match="images of 4 channels cannot become images of 3"):
        fitted(torch.zeros(1, 4, 2, 2), None, "pad", 3)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5, 6, 7), (1, 6, 7)), ((5, 6, 7, 3), (3, 6, 7)), ((5, 3, 6, 7), (3, 6, 7)), ((5, 6, 7, 1), (1, 6, 7))],
)
def test_images_of_bytes_come_in_every_layout(shape, expected):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    images = Images(pixels)
    assert len(images) == 5
    assert images[2].shape == expected
    assert torch.equal(images.__getitems__([2, 4])[0], images[2])
    chw = {3: pixels[2][None], 4: np.moveaxis(pixels[2], 2, 0) if expected[0] == shape[-1] else pixels[2]}[len(shape)]
    assert torch.equal(images[2], torch.from_numpy(chw.copy()) / 127.5 - 1)


def test_floating_images_keep_their_values():
    values = random_images(5, 16, 4, 4).numpy()
    assert torch.equal(Images(values)[3], torch.from_numpy(values[3]))
    assert torch.equal(Images(values[:, 0])[3], torch.from_numpy(values[3, :1]))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((5, 6), np.uint8), r"shape \(5, 6\), but uint8 images are"),
        (np.zeros((5, 6, 7, 8), np.uint8), "with 1, 3 or 4 channels"),
        (np.zeros((5, 32, 32, 3), np.float32), r"floating images are \(N, H, W\) or \(N, C, H, W\)"),
        (np.zeros((5, 0, 3), np.uint8), "has shape"),
        (np.zeros((0, 4, 4), np.uint8), "empty"),
        (np.zeros((5, 4, 4), np.int64), "type int64"),
    ],
)
def test_arrays_that_are_no_images_are_refused(pixels, message):
    with pytest.raises(UsageError, match=message):
        Images(pixels)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "size must be at least 1"),
        ({"fit": "crop"}, "fit must be pad or resize, not crop"),
        ({"channels": 2}, "channels must be 1 or 3, not 2"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"classes": (1,)}, "classes needs labels"),
        ({"size": 3}, "images of 4x4 .* size 3"),
    ],
)
def test_bad_settings_of_images_are_refused_at_once(wrong, message):
    with pytest.raises(UsageError, match=message):
        Images(np.zeros((5, 4, 4), np.uint8), **wrong)


def test_a_memory_mapped_array_is_not_copied_whole(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((50, 4, 4), np.uint8))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    images = Images(mapped, limit=40)
    assert images.pixels is mapped
    assert images.indices.shape == (40,)


def test_classes_keep_only_their_examples_in_order():
    labels = np.array([3, 1, 3, 2, 1])
    assert selected(5, labels, (1, 3), None).tolist() == [0, 1, 2, 4]
    assert selected(5, np.array(list("cacba")), ("b",), None).tolist() == [3]


@pytest.mark.parametrize(("classes", "given"), [((7,), "7"), ((1, 7), "7"), ((), "nothing")])
def test_classes_that_are_not_there_are_refused_with_those_that_are(classes, given):
    with pytest.raises(UsageError, match=f"asks for {given}; the data has 1, 2, 3"):
        selected(4, np.array([3, 1, 2, 1]), classes, None)


def test_labels_must_be_as_many_as_the_examples():
    with pytest.raises(UsageError, match=r"labels have shape \(3,\)"):
        selected(4, np.zeros(3), None, None)


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(1, 250))
def test_a_limit_takes_a_fixed_choice_of_distinct_examples(count, limit):
    indices = selected(count, None, None, limit)
    assert len(indices) == min(count, limit)
    assert np.all(np.diff(indices) > 0)
    assert np.array_equal(indices, selected(count, None, None, limit))


def test_a_limit_does_not_favour_the_first_class():
    labels = np.repeat([0, 1], 5000)
    kept = labels[selected(10_000, labels, None, 1000)]
    # Hypergeometric: 1000 of 10,000, half of them 1.
    z = (kept.sum() - 500) / math.sqrt(1000 * 0.25 * 9000 / 9999)
    assert abs(z) < 5


def test_a_missing_file_is_refused_with_its_nearest_neighbour(tmp_path):
    (tmp_path / "images.npy").touch()
    with pytest.raises(UsageError, match=r"no such file: .*image\.npy\. Did you mean 'images\.npy'\?$"):
        existing(str(tmp_path / "image.npy"))
    with pytest.raises(UsageError, match="no such file"):
        existing(str(tmp_path / "nowhere" / "image.npy"))


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.npy").touch()
    assert existing("~/a.npy") == tmp_path / "a.npy"


def test_digits_are_scikit_learns_exactly():
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
def test_shapes_are_images_of_the_size_asked_for(size, channels):
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
def test_each_shape_covers_the_area_of_its_kind_and_lies_in_the_image(kind):
    drawing = draw(200, 1, torch.Generator().manual_seed(0))
    drawing = drawing._replace(kind=torch.full((200,), kind), colour=torch.ones(200, 1), background=torch.zeros(200))
    coverage = (render(drawing, 128) + 1) / 2
    area = coverage.mean((1, 2, 3)) * 4
    # Edges are smooth, so that the sum of the pixels is the area up to the corners' share.
    torch.testing.assert_close(area, AREAS[kind] * drawing.radius**2, rtol=0.02, atol=0)


def test_shapes_have_smooth_edges_and_a_dark_background():
    images = (shapes(size=64, count=500) + 1) / 2
    corner = images[:, :, 0, 0]
    assert corner.max() < 0.5
    assert (corner <= 0.15).float().mean() > 0.9
    bright = images.amax((1, 2, 3))
    assert bright.min() > 0.4
    # A hard edge would leave two values; a smooth one puts several more in between.
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
    """z of Gaussian values' mean square against their variance, given that their mean is 0."""
    n = values.numel()
    return float((values.double().square().mean() / variance - 1) / math.sqrt(2 / n))


def mean_z(values, variance):
    return float(values.double().mean() / math.sqrt(variance / values.numel()))


def test_the_gaussians_are_equal_and_as_wide_as_asked():
    # So narrow that each point belongs to the nearest mode without doubt.
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


def test_the_rings_are_equally_likely_and_of_equal_steps():
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


def test_the_noise_of_rings_and_moons_is_as_wide_as_asked():
    for make in (lambda scale: rings(count=20_000, scale=scale), lambda scale: moons(count=20_000, scale=scale)):
        noise = make(0.05) - make(0.0)
        assert abs(variance_z(noise, 0.05**2)) < 5
        assert abs(variance_z(noise, 0.052**2)) > 5
