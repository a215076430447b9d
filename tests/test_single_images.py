"""Single image files as examples to reconstruct."""

import numpy as np
import pytest
import torch
from image_data import expected, refused, write
from PIL import Image

from ebmkit.data.images import fitted
from ebmkit.data.single_images import load

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)

SHAPE = (3, 8, 8)


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good.png", PIXELS)


def test_files_are_read_in_the_given_order(tmp_path, good):
    turned = write(tmp_path / "a.png", PIXELS[::-1])
    loaded = load([str(good), turned], SHAPE)
    assert torch.equal(loaded.x, torch.stack([expected(PIXELS), expected(PIXELS[::-1])]))
    assert loaded.paths == [good, turned]
    assert loaded.failures == []


def test_a_grey_file_is_an_example_of_one_channel(tmp_path):
    path = write(tmp_path / "a.png", PIXELS, "L")
    loaded = load([path], (1, 8, 8))
    assert torch.equal(((loaded.x + 1) * 127.5).round()[0, 0].byte(), torch.from_numpy(np.array(Image.open(path))))


def test_other_sizes_and_colours_are_skipped_and_named(tmp_path, good):
    wide, grey = write(tmp_path / "wide.png", PIXELS[:5]), write(tmp_path / "grey.png", PIXELS, "L")
    loaded = load([wide, good, grey], SHAPE)
    assert loaded.paths == [good]
    assert torch.equal(loaded.x, expected(PIXELS)[None])
    end = "expected (3, 8, 8) (channels, height, width): fit it with fit=pad or fit=resize"
    assert loaded.failures == [f"{wide} has shape (3, 5, 8), {end}", f"{grey} has shape (1, 8, 8), {end}"]


@pytest.mark.parametrize(("fit", "side"), [("pad", 9), ("resize", 4), ("resize", 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_size_and_colours_are_fitted_on_request(tmp_path, fit, side, channels):
    path = write(tmp_path / "a.png", PIXELS[:7])
    loaded = load([path], (channels, side, side), fit=fit)
    assert torch.equal(loaded.x, fitted(expected(PIXELS[:7])[None], side, fit, channels))
    assert loaded.failures == []


def test_an_image_too_large_to_pad_is_skipped_and_named(tmp_path, good):
    large = write(tmp_path / "large.png", np.zeros((9, 4, 3), np.uint8))
    (line,) = load([good, large], SHAPE, fit="pad").failures
    assert line == f"{large} is 9x4, larger than size 8: shrink with fit=resize"


def test_photographs_are_turned_before_sizes_are_compared(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "a.png", PIXELS[:5], exif=exif)
    assert torch.equal(load([path], (3, 8, 5)).x, expected(np.rot90(PIXELS[:5], -1))[None])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_broken_files_are_named_and_the_others_are_read(tmp_path, good, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / f"broken.{suffix}", noise)
    path.write_bytes(path.read_bytes()[:1000])
    (tmp_path / "text.png").write_text("no image")
    loaded = load([path, good, tmp_path / "text.png", tmp_path, tmp_path / "god.png"], SHAPE, fit="resize")
    assert loaded.paths == [good]
    assert loaded.x.shape == (1, *SHAPE)
    for line, named in zip(loaded.failures, [f"broken.{suffix}", "text.png", "", "god.png"], strict=True):
        assert str(tmp_path / named) in line
        assert "\n" not in line
    assert loaded.failures[-1].endswith("Did you mean 'good.png'?")


def test_images_of_32_bits_are_skipped(tmp_path, good):
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tif")
    (line,) = load([good, tmp_path / "a.tif"], SHAPE, fit="pad").failures
    assert "a.tif is of mode F" in line


def test_it_is_an_error_if_no_file_can_be_used(tmp_path):
    refused("no images: none are given", load, [], SHAPE)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    refused(r"no images: none of 2 can be used; the first: no such file: .*a\.png", load, paths, SHAPE)


def test_shapes_that_images_cannot_have_are_refused(good):
    for shape in ((2,), (4, 8, 8), (8, 8)):
        refused(r"cannot become examples of shape .*: expected \(1, H, W\)", load, [good], shape)
    refused(r"fit=pad makes squares, but examples have shape \(3, 8, 9\)", load, [good], (3, 8, 9), fit="pad")
    refused("fit must be none, pad or resize, not crop", load, [good], SHAPE, fit="crop")
