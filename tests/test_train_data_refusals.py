"""Data that `ebmkit train` cannot read: found before the run where that is possible."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import SMALL, objects, refused, train, updates_of
from PIL import Image

from ebmkit import UsageError, register

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_truncated_image_is_found_before_the_run(kind):
    Path("images").mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(32, 32), dtype=np.uint8)
    for name in "abcdefghi":
        Image.fromarray(pixels).save(f"images/{name}.{kind}")
    os.truncate(f"images/c.{kind}", Path(f"images/c.{kind}").stat().st_size - 40)
    with Image.open(f"images/c.{kind}") as header:
        assert header.size == (32, 32)
    words = ("--data", "folder", "-s", "data.path=images", "--out", "a")
    assert f"images/c.{kind}: OSError: image file is truncated" in refused("train", *SMALL, *words)


class Breaking:
    """Images of which all break after a number of reads."""

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 100

    def __getitem__(self, number: int) -> torch.Tensor:
        self.reads += 1
        if self.reads > 150:
            raise UsageError("the disk was pulled out")
        return torch.zeros(1, 8, 8)


def test_data_that_fail_later_leave_the_last_update_saved():
    register("data", "breaking", Breaking)
    words = ("--data", "breaking", "--iterations", "99", "--out", "a", "-s", "watch.checkpoints.every=0")
    _, stderr = train(*SMALL, *words, code=2)
    assert stderr == "error: the disk was pulled out\n"
    assert updates_of("a") == objects(Path("a/metrics.jsonl").read_text())[-1]["update"] > 1


@pytest.mark.parametrize("key", [(), ("-s", "data.key=a/data.pkl"), ("-s", "data.key=a.png")])
@pytest.mark.parametrize("name", ["images.zip", "a.npz"])
def test_archives_of_other_content_are_refused(name, key):
    if name == "a.npz":
        torch.save(torch.zeros(20, 8, 8), name)
    else:
        picture = io.BytesIO()
        Image.new("L", (8, 8)).save(picture, "png")
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("a.png", picture.getvalue())
    assert name in refused("train", *SMALL, "--data", "arrays", "-s", f"data.path={name}", *key, "--out", "a")


@pytest.mark.parametrize("there", [False, True])
def test_a_path_that_utf_8_cannot_encode_is_refused(there):
    if there:
        with open("u\udcff", "wb") as file:
            np.save(file, np.zeros((20, 8, 8), dtype=np.uint8))
    refused("train", *SMALL, "--data", "arrays", "-s", "data.path=u\udcff", "--out", "a")
