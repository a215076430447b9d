"""Which files of a folder are used: links, endings, and what is left out with a count."""

import os
import warnings
from functools import partial

import image_data
import numpy as np
import pytest
from image_data import write

from ebmkit.data.folder import folder
from ebmkit.data.walking import walk
from ebmkit.errors import Notice

refused = partial(image_data.refused, make=folder)

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def silent(path, **settings):
    """The data set of a folder, which must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        return folder(path=path, **settings)


def test_linked_folders_and_files_are_followed(tmp_path):
    write(tmp_path / "pool" / "b" / "1.png", PIXELS)
    write(tmp_path / "pool" / "2.png", PIXELS)
    root = tmp_path / "root"
    root.mkdir()
    (root / "b").symlink_to(tmp_path / "pool" / "b")
    (root / "c.png").symlink_to(tmp_path / "pool" / "2.png")
    assert [path.relative_to(root).as_posix() for path in silent(root).paths] == ["b/1.png", "c.png"]
    assert len(silent(root, classes=("b",))) == 1


def test_links_in_a_circle_end(tmp_path):
    write(tmp_path / "a" / "1.png", PIXELS)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    assert len(silent(tmp_path)) == 1


def test_two_links_to_one_folder_count_twice(tmp_path):
    write(tmp_path / "pool" / "1.png", PIXELS)
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path / "pool")
    assert len(silent(tmp_path, classes=("a", "b"))) == 2


def test_a_link_to_nothing_is_counted(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    (tmp_path / "b.png").symlink_to("nowhere.png")
    (tmp_path / "c.png").symlink_to("c.png")
    with pytest.warns(Notice, match=r"1 of 3 files in .* are used, 2 left out: 2 linking to nothing$"):
        assert len(folder(path=tmp_path)) == 1


def test_a_pipe_is_counted_and_not_read(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    os.mkfifo(tmp_path / "b.png")
    with pytest.warns(Notice, match="1 left out: 1 of another type than a file$"):
        assert len(folder(path=tmp_path)) == 1


def test_files_of_systems_are_skipped_without_a_word(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/b.png", ".ipynb_checkpoints/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    assert len(silent(tmp_path)) == 1


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "pgm", "ppm", "jp2", "tga", "avif", "qoi", "pcx", "dib", "JPG"])
def test_every_ending_that_pillow_reads_is_used(tmp_path, suffix):
    write(tmp_path / f"a.{suffix}", np.full((8, 8, 3), (200, 100, 50), np.uint8))
    (image,) = silent(tmp_path)
    assert ((image.mean((1, 2)) + 1) * 127.5).tolist() == pytest.approx([200, 100, 50], abs=4)


def test_what_pillow_cannot_decode_is_left_out_and_counted(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    for name in ("b.mpg", "c.eps", "d.h5", "e.heic", "f.txt", "g.txt", "README"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.warns(Notice) as caught:
        assert len(folder(path=tmp_path)) == 1
    (notice,) = caught
    assert "1 of 8 files" in str(notice.message)
    assert "7 left out: 2 ending in .txt, " in str(notice.message)
    assert "1 without an ending" in str(notice.message)
    assert "1 ending in .mpg" in str(notice.message)


def test_a_folder_without_images_says_what_it_has(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.mp4").touch()
    refused(r"no images in .*; 3 left out: 3 ending in \.mp4$", path=tmp_path)


def test_the_count_of_many_endings_stays_short(tmp_path):
    write(tmp_path / "a.png", PIXELS)
    for number in range(300):
        (tmp_path / f"a.x{number}").touch()
    with pytest.warns(Notice, match=r"300 left out: .* and \d+ more$") as caught:
        folder(path=tmp_path)
    assert len(str(caught[0].message)) < 400 + len(str(tmp_path))


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder of two subfolders, of which `locked` cannot be read; the root user may read everything."""
    for name in ("open", "locked"):
        write(tmp_path / name / "a.png", PIXELS)
    usual = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return tmp_path


def test_a_folder_that_cannot_be_read_is_refused(locked):
    refused(r"cannot read the folder .*locked: Permission denied; make it readable", path=locked)
    refused(r"cannot read the folder .*locked: Permission denied", path=locked, classes=("open", "locked"))


def test_only_the_selected_folders_must_be_readable(locked):
    assert len(silent(locked, classes=("open",))) == 1


def test_a_class_is_found_however_its_accents_are_composed(tmp_path):
    write(tmp_path / "cafe\u0301" / "a.png", PIXELS)
    write(tmp_path / "the\u0301" / "a.png", PIXELS)
    assert len(silent(tmp_path, classes=("caf\u00e9",))) == 1
    assert len(silent(tmp_path, classes=("cafe\u0301", "th\u00e9"))) == 2


def test_files_are_walked_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a/z", "a/c/d", "B"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [entry.name.as_posix() for entry in walk(tmp_path)] == ["B", "a/c/d", "a/z", "b"]
