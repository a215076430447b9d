"""Encoded images as pixels: orientation, transparency, palettes, 16 bits, animations."""

import struct
import zlib
from functools import partial

import image_data
import numpy as np
import pytest
import torch
from image_data import expected, write
from PIL import Image

from ebmkit.data.examples import Examples
from ebmkit.data.folder import folder
from ebmkit.errors import UsageError

refused = partial(image_data.refused, make=folder)

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


TURNED = {1: PIXELS, 3: PIXELS[::-1, ::-1], 6: np.rot90(PIXELS, -1), 8: np.rot90(PIXELS), 5: PIXELS.swapaxes(0, 1)}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_photographs_are_turned_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Blocks of one shade, so that JPEG loses little.
    pixels = np.kron(PIXELS[:, :, :1], np.ones((8, 8, 1), np.uint8))[..., 0]
    turned = np.kron(TURNED[orientation][:, :, :1], np.ones((8, 8, 1), np.uint8))[..., 0]
    write(tmp_path / f"a.{suffix}", pixels, exif=exif)
    # The second file has the upright size: it fits only if the size of the first was turned too.
    write(tmp_path / f"b.{suffix}", turned)
    images = folder(path=tmp_path)
    torch.testing.assert_close(images[0], expected(turned), atol=0.1 if suffix == "jpg" else 0, rtol=0)


def exif_of(kind, payload, count):
    """EXIF data whose orientation is stored as another type: 1 bytes, 2 text, 3 short integers, 7 undefined."""
    entry = struct.pack("<HHI", 0x0112, kind, count) + payload.ljust(4, b"\0")
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("exif", "turn"),
    [
        (exif_of(2, b"6\0", 2), -1),
        (exif_of(7, b"\6\0\0\0", 4), -1),
        (exif_of(1, b"\6", 1), -1),
        (exif_of(3, b"\6\0\6\0", 2), -1),
        (exif_of(2, b"8\0", 2), 1),
        (exif_of(2, b"top\0", 4), 0),
        (exif_of(7, b"\xff\xfe", 2), 0),
        (exif_of(3, b"\0\0", 1), 0),
        (exif_of(3, b"\x09\0", 1), 0),
        (exif_of(4, b"\xff\xff\xff\xff", 1), 0),
    ],
    ids=["text", "undefined", "byte", "two", "text-8", "word", "not-ascii", "zero", "nine", "large"],
)
def test_an_orientation_of_another_type_is_read(tmp_path, exif, turn):
    pixels = np.kron(PIXELS[:, :, 0], np.ones((8, 8), np.uint8))
    turned = np.rot90(pixels, turn)
    write(tmp_path / "a.jpg", pixels, exif=exif, quality=100)
    write(tmp_path / "b.jpg", turned, quality=100)  # only fits if the first was turned
    torch.testing.assert_close(folder(path=tmp_path)[0], expected(turned), atol=0.1, rtol=0)


def test_exif_behind_the_pixels_of_a_png_is_found(tmp_path):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    path = write(tmp_path / "a.png", PIXELS)
    exif = chunk(b"eXIf", exif_of(3, b"\6\0", 1)[6:])
    path.write_bytes(path.read_bytes().replace(chunk(b"IEND", b""), exif + chunk(b"IEND", b"")))
    write(tmp_path / "b.png", np.rot90(PIXELS, -1))
    images = folder(path=tmp_path)
    assert torch.equal(images[0], images[1])


def test_transparency_is_laid_on_black(tmp_path):
    alpha = np.array([[0, 128], [255, 0]], np.uint8)
    write(tmp_path / "a.png", np.dstack([np.full((2, 2, 3), 200, np.uint8), alpha]))
    image = folder(path=tmp_path)[0]
    shades = ((image + 1) * 127.5).round()
    assert shades.tolist() == [[[0, 100], [200, 0]]] * 3


def test_transparent_grey_stays_grey(tmp_path):
    image = Image.merge("LA", [Image.new("L", (2, 2), 200), Image.new("L", (2, 2), 0)])
    image.save(tmp_path / "a.png")
    assert torch.equal(folder(path=tmp_path)[0], torch.full((1, 2, 2), -1.0))


def test_a_transparent_colour_of_a_palette_is_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 255, 255, 255, 0, 0])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=0)
    assert folder(path=tmp_path)[0].squeeze(1).T.tolist() == [[-1, -1, -1], [1, -1, -1]]


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)])
def test_every_mode_of_a_white_image_is_white(tmp_path, mode, channels):
    write(tmp_path / "a.png", np.full((2, 3, 3), 255, np.uint8), mode=mode)
    assert torch.equal(folder(path=tmp_path)[0], torch.ones(channels, 2, 3))


def test_cmyk_becomes_rgb(tmp_path):
    write(tmp_path / "a.jpg", np.full((8, 8, 3), 255, np.uint8), mode="CMYK")
    torch.testing.assert_close(folder(path=tmp_path)[0], torch.ones(3, 8, 8), atol=0.05, rtol=0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_precision(tmp_path, suffix):
    values = np.array([[0, 1, 32767], [32768, 65534, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    image = folder(path=tmp_path)[0]
    torch.testing.assert_close(image[0].double(), torch.from_numpy(values / 32767.5 - 1), atol=1e-6, rtol=0)
    assert len(image.unique()) == 6


def test_images_of_32_bits_are_refused(tmp_path):
    write(tmp_path / "a.tif", np.zeros((2, 2), np.float32))
    refused(r"a\.tif is of mode F: expected grey or colour of 8 or 16 bits", path=tmp_path)


def test_the_first_frame_of_an_animation_is_used(tmp_path):
    frames = [Image.new("L", (4, 4), shade) for shade in (255, 0)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert folder(path=tmp_path)[0].min() == 1


@pytest.mark.parametrize("largest", [65535, 4095])
def test_pgm_files_of_16_bits_are_read(tmp_path, largest):
    values = np.array([[0, 1, largest], [largest // 3, 7, largest - 1]], ">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 3 2 %d\n" % largest + values.tobytes())
    found = Examples(folder(path=tmp_path)).fetch(torch.tensor([0]))
    torch.testing.assert_close(found[0], torch.tensor(values / largest * 2 - 1).float()[None], atol=2e-5, rtol=0)


def test_a_line_break_in_the_name_of_a_file_is_escaped(tmp_path):
    (tmp_path / "a\nb.png").write_bytes(b"no image")
    with pytest.raises(UsageError) as error:
        folder(path=tmp_path)
    assert r"a\nb.png: not an image" in str(error.value)
    assert "\n" not in str(error.value)
