"""Small files that claim to be large are refused in one line, before memory is filled."""

import gzip
import json
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import invoked
from image_data import refused
from PIL import Image
from safetensors.torch import save_file
from training_runs import trained

from ebmkit.config import toml_text
from ebmkit.config.layers import loads, read
from ebmkit.data import arrays, folder, idx
from ebmkit.errors import UsageError, lacks_memory
from ebmkit.runs.checkpoint import read_checkpoint

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


def limited(monkeypatch, bytes_):
    """Lower the bound for what is unzipped, so that the tests need no large files."""
    for module in ("ebmkit.data.arrays", "ebmkit.data.idx"):
        monkeypatch.setattr(sys.modules[module], "UNZIPPED", bytes_)


def test_a_gzipped_bomb_is_refused(tmp_path, monkeypatch):
    limited(monkeypatch, 10_000)
    header = bytes([0, 0, 8, 3]) + np.array([1000, 10, 10], ">u4").tobytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(header + bytes(100_000)))
    refused(r"a\.gz unzips to more than 10,000 bytes: unzip it first", idx, path=tmp_path / "a.gz")


def test_a_small_gzipped_file_takes_little_memory(tmp_path):
    header = bytes([0, 0, 8, 3]) + np.array([10, 10, 10], ">u4").tobytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(header + bytes(1000)))
    tracemalloc.start()
    try:
        assert len(idx(path=tmp_path / "a.gz")) == 10
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_a_bomb_in_an_archive_of_arrays_is_refused(tmp_path, monkeypatch):
    limited(monkeypatch, 10_000)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((100, 32, 32), np.uint8))
    refused(r"the array 'x' of .*a\.npz unzips to more than 10,000 bytes", arrays, path=tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros((100, 32, 32), np.uint8))
    assert len(arrays(path=tmp_path / "b.npz")) == 100


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_header_that_claims_terabytes_is_refused(tmp_path, name):
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**13, 2)})
        file.write(bytes(100))
    if name == "a.npz":
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.write(tmp_path / "x.npy", "x.npy")
    else:
        (tmp_path / "x.npy").rename(tmp_path / "a.npy")
    refused("cannot read", arrays, path=tmp_path / name)


def test_huge_axes_in_an_idx_file_are_refused(tmp_path):
    header = bytes([0, 0, 8, 3]) + bytes([255] * 12)
    (tmp_path / "a").write_bytes(header + bytes(100))
    refused("its header says .* is it incomplete", idx, path=tmp_path / "a")


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("L", (100, 100)).save(tmp_path / "a.png")
    refused(r"cannot read .*a\.png: DecompressionBombError", folder, path=tmp_path)


def test_settings_of_a_gigabyte_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(toml_text, "LONGEST", 1000)
    text = f'[energy]\nuse = "{"x" * 10_000}"\n'
    (tmp_path / "a.toml").write_text(text)
    refused("more than 1,000 letters", read, tmp_path / "a.toml")
    refused("more than 1,000 letters", loads, text, "the configuration in a")


@pytest.mark.parametrize("opening", ["[", "{a=", "a."])
def test_settings_nested_by_the_thousand_are_refused(opening):
    refused("", loads, f"[energy]\nwidth = {opening * 10_000}1", "deep")


def test_a_compressed_checkpoint_is_not_unpacked(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "1"})
    path = tmp_path / "a" / "checkpoint.pt"
    state = {**torch.load(path, weights_only=True), "extra": torch.zeros(10**6)}
    torch.save(state, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for record in whole.namelist():
            packed.writestr(record, whole.read(record))
    assert path.stat().st_size < 10**6
    with pytest.raises(UsageError, match=r"its records claim 4,.* bytes, the file has") as error:
        read_checkpoint(tmp_path / "a")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "shape"),
    [("[train]\nbatch_size = 1000000000000\n", [1, 8, 8]), ('[energy]\nuse = "mlp"\n', [10**9, 10**9, 10**9])],
)
def test_a_model_of_absurd_sizes_is_refused_in_one_line(empty_folder, config, shape):
    facts = {"ebmkit": "0", "format": "1", "config": config, "shape": json.dumps(shape), "weights": "last"}
    save_file({"energy.x": torch.zeros(1)}, "a.safetensors", {**facts, "updates": "1"})
    code = 2 if "train" in config else 1
    stdout, stderr = invoked("sample", "a.safetensors", code=code)
    assert (stdout, stderr.count("\n")) == ("", 1)
    assert stderr.startswith("error: ")
    assert not Path("a-generated").exists()


def test_torch_and_numpy_say_that_memory_is_lacking():
    for make in (lambda: torch.empty(2**61), lambda: torch.empty(2**50), lambda: np.empty(2**50)):
        with pytest.raises((RuntimeError, MemoryError)) as error:
            make()
        assert lacks_memory(error.value), error.value
    assert not lacks_memory(RuntimeError("shapes do not match"))
