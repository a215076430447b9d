"""Arrays of images and vectors in .npy and .npz files."""

import importlib

import numpy as np
import pytest
import torch
from image_data import everything, refused, shared

from ebmkit.data.arrays import arrays
from ebmkit.data.examples import Examples

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)

LABELS = np.arange(12) % 3

VALUES = torch.from_numpy(PIXELS) / 127.5 - 1


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS)
    np.save(tmp_path / "labels.npy", LABELS)
    return tmp_path / "pixels.npy"


@pytest.fixture
def save(tmp_path):
    """Save arrays as an .npz file, or one as .npy; give the path."""

    def save(*array, **named):
        path = tmp_path / ("a.npz" if named else "a.npy")
        np.savez(path, **named) if named else np.save(path, array[0])
        return path

    return save


def test_an_array_of_images_is_memory_mapped(npy):
    images = arrays(path=npy)
    assert isinstance(images.pixels, np.memmap)
    assert torch.equal(everything(images)[:, 0], VALUES)


def test_an_array_is_fitted_and_selected(npy):
    labels = npy.with_name("labels.npy")
    images = arrays(path=npy, labels=labels, classes=(1,), limit=3, size=8, channels=3)
    assert everything(images).shape == (3, 3, 8, 8)
    assert set(LABELS[images.indices]) == {1}


def test_the_array_of_an_npz_file_is_found_by_its_name(save):
    other = np.zeros((12, 2, 2), np.uint8)
    for path in (
        save(whatever=PIXELS),
        save(other=other, images=PIXELS),
        save(data=other, x=PIXELS),
        save(other=other, data=PIXELS),
    ):
        assert torch.equal(everything(arrays(path=path))[:, 0], VALUES)
    path = save(images=other, mine=PIXELS)
    assert torch.equal(everything(arrays(path=path, key="mine"))[:, 0], VALUES)


def test_labels_are_in_the_npz_file_or_in_their_own_file(save, npy):
    path = save(mine=PIXELS, labels=LABELS)
    for labels in ("labels", npy.with_name("labels.npy")):
        images = arrays(path=path, key="mine", labels=labels, classes=(0, 2))
        assert images.indices.tolist() == np.flatnonzero(LABELS != 1).tolist()
    assert len(arrays(path=path, labels="labels", classes=(0,))) == 4


def test_an_unknown_key_is_refused_with_the_known_ones(save):
    path = save(left=PIXELS, right=PIXELS)
    refused(r"has the arrays left, right: choose one with -s data\.key=", arrays, path=path)
    refused(r"no array 'rigth'\. Did you mean 'right'\? It has: left, right", arrays, path=path, key="rigth")
    refused("no array 'label'", arrays, path=path, key="left", labels="label")


def test_a_key_or_labels_that_do_not_fit_are_refused(save, npy):
    refused("holds a single array: leave out key", arrays, path=npy, key="images")
    refused("no such file: labels", arrays, path=npy, labels="labels")
    refused("labels is .*: expected a .npy file", arrays, path=npy, labels=save(x=LABELS))
    refused(r"labels have shape \(3,\)", arrays, path=save(x=PIXELS, y=np.zeros(3)), labels="y", classes=(0,))
    refused("classes needs the labels", arrays, path=npy, classes=(0,))


def test_floating_images_are_used_unchanged(save):
    values = (PIXELS / 127.5 - 1).astype(np.float64)
    assert torch.equal(everything(arrays(path=save(values)))[:, 0], torch.from_numpy(values).float())
    colours = np.stack([values] * 3, axis=1).astype(np.float16)
    assert torch.equal(everything(arrays(path=save(colours))), torch.from_numpy(colours).float())


def test_vectors_are_a_tensor(save):
    values = np.random.default_rng(0).uniform(-1, 1, (12, 4))
    path = save(x=values, y=LABELS)
    result = arrays(path=path)
    assert result.dtype == torch.float32
    assert torch.equal(result, torch.from_numpy(values).float())
    labelled = Examples(arrays(path=path, labels="y", classes=(2,), limit=3))  # a data set, which has the labels too
    chosen = labelled.fetch(torch.arange(3))
    assert chosen.shape == (3, 4)
    assert all(row in values[LABELS == 2].astype(np.float32).tolist() for row in chosen.tolist())
    assert arrays(path=path, labels="y", classes=(2,), limit=3).labels.tolist() == [2, 2, 2]


def test_vectors_need_not_be_in_the_range_of_images(save):
    points = np.array([[-3.0, 0.5], [0.0, 2.0]], dtype=np.float32)
    assert torch.equal(Examples(arrays(path=save(points))).fetch(torch.arange(2)), torch.from_numpy(points))


@pytest.mark.parametrize("given", [{"size": 8}, {"fit": "resize"}, {"channels": 3}])
def test_vectors_refuse_the_settings_of_images(save, given):
    refused("holds vectors, .*: leave out size, fit and channels", arrays, path=save(np.zeros((3, 2))), **given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.linspace(0, 1, 300).reshape(3, 10, 10),
            r"values in \[0, 1\], but images of floats must be .* store them as uint8",
        ),
        (np.linspace(0, 255, 300).reshape(3, 10, 10), r"values in \[0, 255\]"),
        (np.linspace(-1, 1.01, 300).reshape(3, 10, 10), r"values in \[-1, 1.01\]"),
        (np.linspace(-3, 1, 300).reshape(3, 10, 10), r"values in \[-3, 1\]"),
        (np.full((3, 2, 2), np.nan), "NaN or infinity"),
        (np.array([[0, np.inf]]), "NaN or infinity"),
        (np.zeros((3, 2, 2), np.int64), "type int64: store images as uint8"),
        (np.zeros((3, 2, 2), bool), "type bool"),
        (np.zeros(3), r"shape \(3,\): expected"),
        (np.zeros((2, 2, 2, 2, 2)), "expected"),
        (np.zeros((0, 4)), "expected"),
        (np.zeros((3, 2), np.uint8), "images of uint8 are"),
        (np.array([{}, {}]), "cannot read"),
    ],
)
def test_arrays_of_other_values_are_refused(save, values, message):
    refused(message, arrays, path=save(x=values))


def test_every_piece_of_a_large_array_is_checked(save, monkeypatch):
    monkeypatch.setattr(importlib.import_module("ebmkit.data.arrays"), "CHUNK", 10)
    for row in (0, 7, 19):
        values = np.zeros((20, 2, 2))
        values[row, 1, 0] = np.nan
        refused("NaN", arrays, path=save(values))
        values[row, 1, 0] = -1.5
        refused(r"\[-1.5, 0\]", arrays, path=save(values))


def test_files_that_are_not_arrays_are_refused(tmp_path, npy):
    refused(r"no such file: .*pixel\.npy\. Did you mean 'pixels\.npy'", arrays, path=tmp_path / "pixel.npy")
    for content in (b"", b"hello", npy.read_bytes()[:200], b"PK\x03\x04 no zip"):
        bad = tmp_path / "bad.npy"
        bad.write_bytes(content)
        refused("cannot read .*bad.npy", arrays, path=bad)
    refused("is a folder: expected a .npy or .npz file", arrays, path=tmp_path)


def test_a_damaged_member_of_an_npz_file_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=PIXELS)
    content = bytearray(path.read_bytes())
    content[150:160] = bytes(10)
    path.write_bytes(content)
    refused("cannot read the array 'x'", arrays, path=path)


def test_cifar_is_read_from_its_npz():
    path = shared("cifar10-lossless/cifar10-lossless.npz")
    images = arrays(path=path, key="train_images", labels="train_labels", classes=(3,), limit=100)
    assert Examples(images).shape == (3, 32, 32)
    batch = everything(images)
    assert len(batch) == 100
    assert batch.min() < -0.9
    assert batch.max() > 0.9
