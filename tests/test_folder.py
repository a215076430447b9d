"""Folders of image files."""

import numpy as np
import pytest
import torch
from PIL import Image

from ebmkit.data.examples import Examples
from ebmkit.data.image_folder import folder
from ebmkit.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
FORMATS = ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff"]


def write(path, pixels=PIXELS, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    image.convert(mode or image.mode).save(path, **options)
    return path


def expected(pixels):
    values = torch.from_numpy(np.array(pixels)) / 127.5 - 1
    return values[None] if values.ndim == 2 else values.movedim(2, 0)


def refused(match, **wrong):
    with pytest.raises(UsageError, match=match) as error:
        folder(**wrong)
    assert "\n" not in str(error.value)


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    for name, shade in (("b/2.png", 30), ("a.png", 10), ("b/10.png", 20), ("c/d/e.PNG", 40)):
        write(tmp_path / name, np.full((4, 4), shade, np.uint8))
    images = Examples(folder(path=str(tmp_path))).fetch(torch.arange(4))
    assert ((images[:, 0, 0, 0] + 1) * 127.5).round().tolist() == [10, 20, 30, 40]


def test_lossless_files_give_their_very_pixels(tmp_path):
    for name in ("a.png", "a.bmp", "a.tif"):
        write(tmp_path / name)
    for image in folder(path=str(tmp_path)):
        assert image.dtype == torch.float32
        assert torch.equal(image, expected(PIXELS))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read(tmp_path, suffix):
    write(tmp_path / f"a.{suffix}", np.full((8, 8, 3), (200, 100, 50), np.uint8))
    (image,) = folder(path=str(tmp_path))
    assert ((image.mean((1, 2)) + 1) * 127.5).tolist() == pytest.approx([200, 100, 50], abs=4)


def test_other_files_and_hidden_ones_are_left_out(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / ".hidden" / "b.png")
    (tmp_path / "._a.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    assert len(folder(path=str(tmp_path))) == 1


def test_a_folder_below_a_hidden_one_is_read(tmp_path):
    write(tmp_path / ".cache" / "a.png")
    assert len(folder(path=str(tmp_path / ".cache"))) == 1


def test_nothing_is_decoded_until_it_is_asked_for(tmp_path, monkeypatch):
    write(tmp_path / "a.png")
    write(tmp_path / "b.tif")
    with monkeypatch.context() as patch:
        patch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
        images = folder(path=str(tmp_path))
    assert torch.equal(images[1], expected(PIXELS))


def test_classes_are_subfolders_and_a_limit_is_fixed(tmp_path):
    for name in ("cat", "dog", "emu"):
        for number in range(10):
            write(tmp_path / name / f"{number}.png", mode="L")
    images = folder(path=str(tmp_path), classes=("cat", "emu"), limit=7)
    assert len(images) == 7
    assert {path.parent.name for path in images.paths} == {"cat", "emu"}
    assert images.paths == folder(path=str(tmp_path), classes=("cat", "emu"), limit=7).paths
    refused("classes asks for cow; the data has cat, dog, emu", path=str(tmp_path), classes=("cow",))


def test_only_the_files_that_are_kept_must_be_good(tmp_path):
    write(tmp_path / "good" / "a.png")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no image")
    assert len(folder(path=str(tmp_path), classes=("good",))) == 1
    refused(r"cannot read the image .*bad/a\.png: cannot identify", path=str(tmp_path))


def test_mixed_sizes_are_refused_with_the_first_that_differs(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "b.png", PIXELS[:4])
    write(tmp_path / "c.png", PIXELS[:3])
    refused(r"b\.png is 4x5 but a\.png is 6x5 .*-s data\.size=32", path=str(tmp_path))
    for fit, size in (("pad", 6), ("resize", 4)):
        assert Examples(folder(path=str(tmp_path), size=size, fit=fit)).shape == (3, size, size)
    refused(r"a\.png is 6x5, larger than size 5: shrink with -s data\.fit=resize", path=str(tmp_path), size=5)


def test_mixed_channels_are_refused_unless_they_are_chosen(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "b.png", mode="L")
    refused(r"b\.png has 1 channels but a\.png has 3: .*-s data\.channels", path=str(tmp_path))
    for channels in (1, 3):
        assert [len(image) for image in folder(path=str(tmp_path), channels=channels)] == [channels, channels]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"fit": "crop"}, {"channels": 4}, {"limit": 0}])
def test_bad_settings_are_refused(tmp_path, wrong):
    write(tmp_path / "a.png")
    refused("must be", path=str(tmp_path), **wrong)


def test_missing_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "faces").mkdir()
    refused("no such file: .*face. Did you mean 'faces'", path=str(tmp_path / "face"))
    refused("no images in .*faces: expected files ending in .png", path=str(tmp_path / "faces"))
    refused("is a file: expected a folder", path=str(write(tmp_path / "a.png")))


TURNED = {1: PIXELS, 3: PIXELS[::-1, ::-1], 6: np.rot90(PIXELS, -1), 8: np.rot90(PIXELS), 5: PIXELS.swapaxes(0, 1)}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_photographs_are_turned_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Blocks of one shade, so that what JPEG loses is little.
    pixels = np.kron(PIXELS[:, :, :1], np.ones((8, 8, 1), np.uint8))[..., 0]
    turned = np.kron(TURNED[orientation][:, :, :1], np.ones((8, 8, 1), np.uint8))[..., 0]
    write(tmp_path / f"a.{suffix}", pixels, exif=exif)
    # The second file has the upright size: it fits only if the header's size was turned too.
    write(tmp_path / f"b.{suffix}", turned)
    images = folder(path=str(tmp_path))
    torch.testing.assert_close(images[0], expected(turned), atol=0.1 if suffix == "jpg" else 0, rtol=0)


def test_transparency_is_laid_on_black(tmp_path):
    alpha = np.array([[0, 128], [255, 0]], np.uint8)
    write(tmp_path / "a.png", np.dstack([np.full((2, 2, 3), 200, np.uint8), alpha]))
    image = folder(path=str(tmp_path))[0]
    shades = ((image + 1) * 127.5).round()
    assert shades.tolist() == [[[0, 100], [200, 0]]] * 3


def test_transparent_grey_stays_grey(tmp_path):
    image = Image.merge("LA", [Image.new("L", (2, 2), 200), Image.new("L", (2, 2), 0)])
    image.save(tmp_path / "a.png")
    assert torch.equal(folder(path=str(tmp_path))[0], torch.full((1, 2, 2), -1.0))


def test_a_transparent_colour_of_a_palette_is_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 255, 255, 255, 0, 0])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=0)
    assert folder(path=str(tmp_path))[0].squeeze(1).T.tolist() == [[-1, -1, -1], [1, -1, -1]]


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)])
def test_every_mode_of_a_white_image_is_white(tmp_path, mode, channels):
    write(tmp_path / "a.png", np.full((2, 3, 3), 255, np.uint8), mode=mode)
    assert torch.equal(folder(path=str(tmp_path))[0], torch.ones(channels, 2, 3))


def test_cmyk_becomes_colours(tmp_path):
    write(tmp_path / "a.jpg", np.full((8, 8, 3), 255, np.uint8), mode="CMYK")
    torch.testing.assert_close(folder(path=str(tmp_path))[0], torch.ones(3, 8, 8), atol=0.05, rtol=0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_precision(tmp_path, suffix):
    values = np.array([[0, 1, 32767], [32768, 65534, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    image = folder(path=str(tmp_path))[0]
    torch.testing.assert_close(image[0].double(), torch.from_numpy(values / 32767.5 - 1), atol=1e-6, rtol=0)
    assert len(image.unique()) == 6


def test_numbers_of_thirty_two_bits_are_refused(tmp_path):
    write(tmp_path / "a.tif", np.zeros((2, 2), np.float32))
    refused(r"a\.tif is an image of mode F", path=str(tmp_path))


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("L", (4, 4), shade) for shade in (255, 0)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert folder(path=str(tmp_path))[0].min() == 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_file_cut_short_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / f"a.{suffix}", noise)
    write(tmp_path / f"b.{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=rf"cannot read the image .*a\.{suffix}") as error:
        Examples(folder(path=str(tmp_path)))
    assert "\n" not in str(error.value)
