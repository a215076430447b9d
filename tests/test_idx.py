"""Idx files, raw and gzipped."""

import gzip

import numpy as np
import pytest
import torch
from image_data import everything, refused, shared

from ebmkit.data.idx import idx, read
from ebmkit.data.images import Images

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)

LABELS = np.arange(12) % 3

VALUES = torch.from_numpy(PIXELS) / 127.5 - 1


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture(params=["", ".gz"])
def mnist(tmp_path, request):
    """A folder of two idx files, raw or gzipped."""
    pack = gzip.compress if request.param else bytes
    (tmp_path / f"train-images-idx3-ubyte{request.param}").write_bytes(pack(idx_bytes(PIXELS)))
    (tmp_path / f"train-labels-idx1-ubyte{request.param}").write_bytes(pack(idx_bytes(LABELS)))
    return tmp_path


def test_raw_and_gzipped_files_are_read_by_file_or_folder(mnist):
    (file,) = mnist.glob("*images*")
    for path in (mnist, file):
        assert torch.equal(everything(idx(path=path))[:, 0], VALUES)


def test_transposed_images_are_put_upright(mnist):
    upright = idx(path=mnist, transpose=True, size=8, fit="pad")
    assert torch.equal(everything(upright)[:, 0, 1:6, 1:7], VALUES.transpose(1, 2))
    assert len(idx(path=mnist, transpose=True, classes=(1,))) == 4


def test_raw_files_are_memory_mapped(mnist):
    (file,) = mnist.glob("*images*")
    assert isinstance(read(file, 3), np.memmap) == (file.suffix != ".gz")


def test_images_are_selected_by_the_labels_beside_them(mnist):
    images = idx(path=mnist, classes=(2,), size=8, channels=3, limit=3)
    assert everything(images).shape == (3, 3, 8, 8)
    assert set(LABELS[images.indices]) == {2}


def test_raw_images_may_have_gzipped_labels(tmp_path):
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx_bytes(PIXELS))
    (tmp_path / "t10k-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(LABELS)))
    assert len(idx(path=tmp_path / "t10k-images.idx3-ubyte", classes=(0,))) == 4


def test_labels_may_be_in_a_file_of_any_name(tmp_path):
    (tmp_path / "a").write_bytes(idx_bytes(PIXELS))
    (tmp_path / "b").write_bytes(idx_bytes(LABELS))
    path = str(tmp_path / "a")
    assert len(idx(path=path, labels=tmp_path / "b", classes=(0,))) == 4
    refused(
        r"the name a does not say which file has the labels: give it with -s data\.labels", idx, path=path, classes=(0,)
    )
    (tmp_path / "b").write_bytes(idx_bytes(LABELS[:5]))
    refused(r"labels have shape \(5,\)", idx, path=path, labels=tmp_path / "b")


def test_labels_are_only_needed_for_classes(mnist):
    for file in mnist.glob("*labels*"):
        file.unlink()
    assert len(idx(path=mnist)) == 12
    refused("no such file: .*train-labels-idx1-ubyte", idx, path=mnist, classes=(1,))


def test_a_missing_file_is_refused(tmp_path, mnist):
    refused("no such file: .*nowhere", idx, path=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused("no such file: .*train-images-idx3-ubyte", idx, path=tmp_path / "empty")
    refused("is a folder", idx, path=mnist, labels=tmp_path / "empty")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing, not 00 00 08 03"),
        (b"\x89PNG....", "starts with 89 50 4e 47, not 00 00 08 03"),
        (idx_bytes(LABELS), "with 3 axes: it starts with 00 00 08 01"),
        (b"\0\0\x0d\3" + bytes(100), "starts with 00 00 0d 03"),
        (idx_bytes(PIXELS)[:-1], "has 375 bytes, but its header says 376:"),
        (idx_bytes(PIXELS) + b"x", "has 377 bytes, but its header says 376:"),
        (idx_bytes(PIXELS)[:10], "has 10 bytes, but"),
        (b"\0\0\x08\3" + b"\xff" * 12, "has 16 bytes, but its header says 79,228"),
        (gzip.compress(idx_bytes(PIXELS))[:-20], "cannot unzip .*incomplete"),
        (gzip.compress(idx_bytes(PIXELS)[:-1]), "has 375 bytes, but its header says 376"),
        (b"\x1f\x8bnonsense", "cannot unzip"),
        (idx_bytes(PIXELS[:0]), "empty"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    (tmp_path / "images").write_bytes(content)
    refused(message, idx, path=tmp_path / "images")


def test_fashion_mnist_is_read_exactly():
    images = idx(path=shared("fashion-mnist"), classes=(9,), size=32)
    assert isinstance(images, Images)
    assert len(images) == 6000
    batch = images.batch(list(range(50)))
    assert batch.shape == (50, 1, 32, 32)
    assert torch.all(batch[:, :, :2] == -1)
    assert batch.max() == 1
