"""Folders of image files: which are read, and which are refused."""

from functools import partial

import image_data
import numpy as np
import pytest
import torch
from image_data import expected, write

from ebmkit.data.examples import Examples
from ebmkit.data.folder import folder
from ebmkit.errors import Notice, UsageError

refused = partial(image_data.refused, make=folder)

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)

FORMATS = ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff"]


def test_images_are_in_the_order_of_their_names(tmp_path):
    for name, shade in (("b/2.png", 30), ("a.png", 10), ("b/10.png", 20), ("c/d/e.PNG", 40)):
        write(tmp_path / name, np.full((4, 4), shade, np.uint8))
    images = Examples(folder(path=tmp_path)).fetch(torch.arange(4))
    assert ((images[:, 0, 0, 0] + 1) * 127.5).round().tolist() == [10, 20, 30, 40]


def test_lossless_files_give_their_exact_pixels(tmp_path):
    for name in ("a.png", "a.bmp", "a.tif"):
        write(tmp_path / name, PIXELS)
    for image in folder(path=tmp_path):
        assert image.dtype == torch.float32
        assert torch.equal(image, expected(PIXELS))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read(tmp_path, suffix):
    write(tmp_path / f"a.{suffix}", np.full((8, 8, 3), (200, 100, 50), np.uint8))
    (image,) = folder(path=tmp_path)
    assert ((image.mean((1, 2)) + 1) * 127.5).tolist() == pytest.approx([200, 100, 50], abs=4)


def test_other_and_hidden_files_are_skipped(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    write(tmp_path / ".hidden" / "b.png", PIXELS)
    (tmp_path / "._a.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    with pytest.warns(Notice, match=r"1 of 2 files in .* are used, 1 left out: 1 ending in \.txt$"):
        assert len(folder(path=tmp_path)) == 1


def test_a_folder_inside_a_hidden_one_is_read(tmp_path):
    write(tmp_path / ".cache" / "a.png", PIXELS)
    assert len(folder(path=tmp_path / ".cache")) == 1


def test_nothing_is_decoded_before_it_is_needed(tmp_path, monkeypatch):
    write(tmp_path / "a.png", PIXELS)
    write(tmp_path / "b.tif", PIXELS)
    with monkeypatch.context() as patch:
        patch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
        images = folder(path=tmp_path)
    assert torch.equal(images[1], expected(PIXELS))


def test_classes_are_subfolders_and_a_limit_is_fixed(tmp_path):
    for name in ("cat", "dog", "emu"):
        for number in range(10):
            write(tmp_path / name / f"{number}.png", PIXELS, "L")
    images = folder(path=tmp_path, classes=("cat", "emu"), limit=7)
    assert len(images) == 7
    assert {path.parent.name for path in images.paths} == {"cat", "emu"}
    assert images.paths == folder(path=tmp_path, classes=("cat", "emu"), limit=7).paths
    refused("classes asks for cow; the data have cat, dog, emu", path=tmp_path, classes=("cow",))


def test_only_the_selected_files_must_be_valid(tmp_path):
    write(tmp_path / "good" / "a.png", PIXELS)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no image")
    assert len(folder(path=tmp_path, classes=("good",))) == 1
    refused(r"cannot read .*bad/a\.png: not an image of a known format; repair or remove it", path=tmp_path)


def test_mixed_sizes_are_refused_with_the_first_difference(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    write(tmp_path / "b.png", PIXELS[:4])
    write(tmp_path / "c.png", PIXELS[:3])
    refused(r"b\.png is 4x5 but .*a\.png is 6x5 .*-s data\.size=32", path=tmp_path)
    for fit, size in (("pad", 6), ("resize", 4)):
        assert Examples(folder(path=tmp_path, size=size, fit=fit)).shape == (3, size, size)
    refused(r"a\.png is 6x5, larger than size 5: shrink with -s data\.fit=resize", path=tmp_path, size=5)


def test_mixed_channels_are_refused_unless_chosen_for_all(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    write(tmp_path / "b.png", PIXELS, "L")
    refused(r"b\.png has 1 channels but .*a\.png has 3: .*-s data\.channels", path=tmp_path)
    for channels in (1, 3):
        assert [len(image) for image in folder(path=tmp_path, channels=channels)] == [channels, channels]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"fit": "crop"}, {"channels": 4}, {"limit": 0}])
def test_bad_settings_are_refused(tmp_path, wrong):
    write(tmp_path / "a.png", PIXELS)
    refused("must be", path=tmp_path, **wrong)


def test_missing_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "faces").mkdir()
    refused("no such file: .*face. Did you mean 'faces'", path=tmp_path / "face")
    refused("no images in .*faces: expected files ending in .png", path=tmp_path / "faces")
    refused("is a file: expected a folder", path=write(tmp_path / "a.png", PIXELS))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_an_incomplete_file_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / f"a.{suffix}", noise)
    write(tmp_path / f"b.{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=rf"cannot read .*a\.{suffix}") as error:
        Examples(folder(path=tmp_path))
    assert "\n" not in str(error.value)
