"""Images in arrays: how they are fitted to one size and colour, and which of them are selected."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ebmkit.data.images import Images, fitted, selected
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
def test_fitted_images_have_the_given_shape_and_range(height, width, size, before, channels, fit):
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
    # Interpolation between the two nearest pixels only makes these stripes white.
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


def test_images_that_already_fit_are_unchanged():
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
        (np.zeros((5, 6), np.uint8), r"shape \(5, 6\), but images of uint8 are"),
        (np.zeros((5, 6, 7, 8), np.uint8), "with 1, 3 or 4 channels"),
        (np.zeros((5, 32, 32, 3), np.float32), r"images of floats are \(N, H, W\) or \(N, C, H, W\)"),
        (np.zeros((5, 0, 3), np.uint8), "has shape"),
        (np.zeros((0, 4, 4), np.uint8), "empty"),
        (np.zeros((5, 4, 4), np.int64), "type int64"),
    ],
)
def test_arrays_that_are_not_images_are_refused(pixels, message):
    with pytest.raises(UsageError, match=message):
        Images(pixels)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "size must be at least 1"),
        ({"fit": "crop"}, "fit must be pad or resize, not crop"),
        ({"channels": 2}, "channels must be 1 or 3, not 2"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"classes": (1,)}, "classes needs the labels"),
        ({"size": 3}, "an image is 4x4, larger than size 3: .*fit=resize"),
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
def test_an_unknown_class_is_refused_with_the_known_ones(classes, given):
    with pytest.raises(UsageError, match=f"asks for {given}; the data have 1, 2, 3"):
        selected(4, np.array([3, 1, 2, 1]), classes, None)


def test_there_must_be_one_label_for_each_example():
    with pytest.raises(UsageError, match=r"labels have shape \(3,\)"):
        selected(4, np.zeros(3), None, None)


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(1, 250))
def test_a_limit_is_a_fixed_choice_of_distinct_examples(count, limit):
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
