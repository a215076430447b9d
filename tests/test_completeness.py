"""Image files that were cut off: they are found when the data set is opened, in every format."""

import numpy as np
import pytest
from image_data import encoded

from ebmkit.data.folder import folder
from ebmkit.errors import UsageError

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
# The format, and the options that its file is written with.
FORMATS = {
    "png": {},
    "jpg": {},
    "gif": {},
    "webp": {},
    "tif": {},
    "tiff": {"compression": "jpeg"},
    "bmp": {},
    "ppm": {},
    "tga": {"compression": "tga_rle"},
    "jp2": {},
    "avif": {},
    "pcx": {},
    "sgi": {},
    "qoi": {},
}
NAMES = {"jpg": "jpeg", "tif": "tiff", "jp2": "jpeg2000"}


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_cut_file_is_refused_before_training(tmp_path, suffix, part):
    content = encoded(NOISE, NAMES.get(suffix, suffix), **FORMATS[suffix])
    (tmp_path / f"a.{suffix}").write_bytes(content)
    assert len(folder(path=tmp_path)) == 1
    # Not the first file, whose pixels are read for the shape of the examples.
    (tmp_path / f"b.{suffix}").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UsageError, match=rf"cannot read .*b\.{suffix}: .*; repair or remove it$") as error:
        folder(path=tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif"])
def test_a_whole_file_of_a_common_format_is_not_decoded(tmp_path, suffix, monkeypatch):
    (tmp_path / f"a.{suffix}").write_bytes(encoded(NOISE, NAMES.get(suffix, suffix)))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    folder(path=tmp_path)


def test_the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg(tmp_path):
    whole = encoded(NOISE, "jpeg")
    thumbnail = encoded(NOISE[:8, :8], "jpeg")
    comment = b"\xff\xfe" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    begin = whole.index(b"\xff\xda")
    content = whole[:2] + comment + whole[2 : begin + 300]
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read .*a\.jpg"):
        folder(path=tmp_path)


def test_bytes_behind_the_end_do_no_harm(tmp_path):
    for suffix in ("jpg", "png", "gif"):
        (tmp_path / f"a.{suffix}").write_bytes(encoded(NOISE, NAMES.get(suffix, suffix)) + bytes(5000))
    assert len(folder(path=tmp_path)) == 3
