"""Images in the rows of a table, as bytes or as paths; this needs no package `datasets`."""

import struct

import numpy as np
import pytest
import torch
from image_data import encoded, expected, refused
from PIL import Image

from ebmkit.data.encoded import ImageRows
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 7, 3), dtype=np.uint8)


class Rows(list):
    """What `ImageRows` needs of a `datasets.Dataset`, so that these tests do not need the package."""

    def iter(self, size):
        for start in range(0, len(self), size):
            yield {"image": [row["image"] for row in self[start : start + size]]}


def images(*contents, size=None, fit="pad", channels=None, paths=None):
    paths = paths or [None] * len(contents)
    rows = Rows({"image": {"bytes": content, "path": path}} for content, path in zip(contents, paths, strict=True))
    return ImageRows(rows, "image", np.arange(10, 10 + len(rows)), size=size, fit=fit, channels=channels)


def test_rows_are_decoded_to_their_exact_pixels():
    source = images(*map(encoded, PIXELS))
    assert Examples(source).shape == (3, 8, 7)
    for image, pixels in zip(source, PIXELS, strict=False):
        assert torch.equal(image, expected(pixels))


def test_a_row_may_point_to_its_file(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PIXELS[0]))
    assert torch.equal(images(None, paths=[str(tmp_path / "a.png")])[0], expected(PIXELS[0]))
    refused(r"image 10 \(.*b\.png\): FileNotFoundError", lambda: images(None, paths=[str(tmp_path / "b.png")]))


def test_a_file_that_was_deleted_later_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PIXELS[0]))
    source = images(encoded(PIXELS[1]), None, paths=[None, str(tmp_path / "a.png")])
    (tmp_path / "a.png").unlink()
    refused(r"cannot read image 11 \(.*a\.png\): FileNotFoundError", lambda: source[1])


def test_rows_are_fitted_and_coloured():
    contents = [encoded(PIXELS[0], mode="L"), encoded(PIXELS[1, :5])]
    for fit, size in (("pad", 9), ("resize", 4)):
        for channels in (1, 3):
            batch = Examples(images(*contents, size=size, fit=fit, channels=channels)).fetch(torch.arange(2))
            assert batch.shape == (2, channels, size, size)
    assert images(encoded(PIXELS[0]), size=10)[0][:, 0].eq(-1).all()


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)])
def test_every_mode_of_a_white_row_is_white(mode, channels):
    content = encoded(np.full((2, 3, 3), 255, np.uint8), mode=mode)
    assert torch.equal(images(content)[0], torch.ones(channels, 2, 3))


def test_transparency_in_rows_is_laid_on_black():
    alpha = np.array([[0, 128], [255, 0]], np.uint8)
    image = images(encoded(np.dstack([np.full((2, 2, 3), 200, np.uint8), alpha])))[0]
    assert ((image + 1) * 127.5).round().tolist() == [[[0, 100], [200, 0]]] * 3


def test_photographs_in_rows_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    source = images(encoded(PIXELS[0], exif=exif), encoded(np.rot90(PIXELS[0], -1)))
    assert torch.equal(source[0], source[1])


def test_rows_that_differ_are_refused_by_number():
    small, grey = encoded(PIXELS[0, :5]), encoded(PIXELS[0], mode="L")
    whole = encoded(PIXELS[0])
    refused(r"image 12 is 5x7 but image 10 is 8x7 .*-s data\.size=32", lambda: images(whole, whole, small))
    refused(r"image 11 is 8x7, larger than size 7: .*fit=resize", lambda: images(small, whole, size=7))
    refused(
        r"image 11 \(g\.png\) has 1 channels but image 10 has 3: .*-s data\.channels",
        lambda: images(whole, grey, paths=[None, "g.png"]),
    )
    floats = encoded(np.zeros((2, 2), np.float32), "tiff")
    refused("image 10 is of mode F: expected grey", lambda: images(floats))


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_an_incomplete_row_is_named_when_the_data_are_built(format):
    whole = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), format)
    assert len(images(whole, whole)) == 2
    refused("cannot read image 11: .*; repair or remove it", lambda: images(whole, whole[: len(whole) // 2]))


@pytest.mark.parametrize("content", [b"", b"no image", encoded(PIXELS[0])[:6]])
def test_a_row_that_is_not_an_image_is_named(content):
    refused(
        "cannot read image 11: not an image of a known format; repair or remove it",
        lambda: images(encoded(PIXELS[0]), content),
    )


@pytest.mark.parametrize(
    "kind", [OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError]
)
def test_every_error_in_reading_a_row_names_the_row(monkeypatch, kind):
    def broken(file, **options):
        raise kind("two\nlines")

    monkeypatch.setattr(Image, "open", broken)
    refused("cannot read image 10: .*two lines; repair or remove it", lambda: images(b""))


@pytest.mark.parametrize("error", [SystemError("negative size"), ValueError("damaged")])
def test_a_damaged_table_is_refused_in_a_line(error):
    class Damaged(Rows):
        def iter(self, size):
            raise error
            yield

    rows = Damaged([{"image": {"bytes": encoded(PIXELS[0]), "path": None}}])
    with pytest.raises(UsageError, match=r"^cannot read the column 'image': .*(negative size|damaged)$"):
        ImageRows(rows, "image", np.arange(1), size=None, fit="pad", channels=None)


def test_an_empty_row_is_named():
    refused("cannot read image 10: ValueError: the row is empty", lambda: images(None))
    rows = Rows([{"image": None}])
    refused(
        "image 0: ValueError: the row is empty",
        lambda: ImageRows(rows, "image", np.arange(1), size=None, fit="pad", channels=None),
    )
