"""Single image files, as examples to reconstruct."""

import numpy as np
import pytest
import torch
from PIL import Image

from ebmkit.data.single_images import load
from ebmkit.data.images import fitted
from ebmkit.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
SHAPE = (3, 8, 8)


def write(path, pixels=PIXELS, mode="RGB", **options):
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def expected(pixels):
    return torch.from_numpy(np.array(pixels)).movedim(2, 0) / 127.5 - 1


def refused(match, *given, **wrong):
    with pytest.raises(UsageError, match=match) as error:
        load(*given, **wrong)
    assert "\n" not in str(error.value)


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good.png")


def test_files_are_read_in_the_order_given(tmp_path, good):
    turned = write(tmp_path / "a.png", PIXELS[::-1])
    loaded = load([str(good), turned], SHAPE)
    assert torch.equal(loaded.x, torch.stack([expected(PIXELS), expected(PIXELS[::-1])]))
    assert loaded.paths == [good, turned]
    assert loaded.failures == []


def test_a_grey_file_is_an_example_of_one_channel(tmp_path):
    path = write(tmp_path / "a.png", mode="L")
    loaded = load([path], (1, 8, 8))
    assert torch.equal(((loaded.x + 1) * 127.5).round()[0, 0].byte(), torch.from_numpy(np.array(Image.open(path))))


def test_other_sizes_and_colours_are_left_out_and_named(tmp_path, good):
    wide, grey = write(tmp_path / "wide.png", PIXELS[:5]), write(tmp_path / "grey.png", mode="L")
    loaded = load([wide, good, grey], SHAPE)
    assert loaded.paths == [good]
    assert torch.equal(loaded.x, expected(PIXELS)[None])
    end = "expected (3, 8, 8) (channels, height, width): fit it with fit=pad or fit=resize"
    assert loaded.failures == [f"{wide} has shape (3, 5, 8), {end}", f"{grey} has shape (1, 8, 8), {end}"]


@pytest.mark.parametrize(("fit", "side"), [("pad", 9), ("resize", 4), ("resize", 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_where_it_is_asked_for_size_and_colours_are_fitted(tmp_path, fit, side, channels):
    path = write(tmp_path / "a.png", PIXELS[:7])
    loaded = load([path], (channels, side, side), fit=fit)
    assert torch.equal(loaded.x, fitted(expected(PIXELS[:7])[None], side, fit, channels))
    assert loaded.failures == []


def test_what_is_too_large_to_pad_is_left_out_and_named(tmp_path, good):
    large = write(tmp_path / "large.png", np.zeros((9, 4, 3), np.uint8))
    (line,) = load([good, large], SHAPE, fit="pad").failures
    assert line == f"{large} is 9x4, larger than 8x8: shrink it with fit=resize"


def test_photographs_are_upright_before_they_are_measured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "a.png", PIXELS[:5], exif=exif)
    assert torch.equal(load([path], (3, 8, 5)).x, expected(np.rot90(PIXELS[:5], -1))[None])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_broken_files_are_named_and_the_rest_goes_on(tmp_path, good, suffix):
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


def test_numbers_of_thirty_two_bits_are_left_out(tmp_path, good):
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tif")
    (line,) = load([good, tmp_path / "a.tif"], SHAPE, fit="pad").failures
    assert "a.tif is an image of mode F" in line


def test_nothing_at_all_is_refused(tmp_path):
    refused("no images: none are given", [], SHAPE)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    refused(r"no images: none of 2 can be used; the first: no such file: .*a\.png", paths, SHAPE)


def test_shapes_that_files_cannot_have_are_refused(good):
    for shape in ((2,), (4, 8, 8), (8, 8)):
        refused(r"cannot become examples of shape .*: expected \(1, H, W\)", [good], shape)
    refused(r"fit=pad makes squares, but examples have shape \(3, 8, 9\)", [good], (3, 8, 9), fit="pad")
    refused("fit must be none, pad or resize, not crop", [good], SHAPE, fit="crop")
