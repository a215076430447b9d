"""Arrays and idx files."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from ebmkit.data.array_files import arrays
from ebmkit.data.examples import Examples
from ebmkit.data.idx_files import idx, read
from ebmkit.data.images import Images
from ebmkit.errors import UsageError

SHARED = Path(__file__).parents[2] / "shared" / "data"
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3


def shared(name):
    if not (SHARED / name).exists():
        pytest.skip(f"this test needs ../shared/data/{name}")
    return str(SHARED / name)


def everything(source):
    examples = Examples(source)
    return examples.fetch(torch.arange(len(examples)))


def from_bytes(pixels):
    return torch.from_numpy(np.array(pixels)) / 127.5 - 1


def refused(match, make, **wrong):
    with pytest.raises(UsageError, match=match) as error:
        make(**wrong)
    assert "\n" not in str(error.value)


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
        return str(path)

    return save


def test_an_array_of_images_is_memory_mapped(npy):
    images = arrays(path=str(npy))
    assert isinstance(images.pixels, np.memmap)
    assert torch.equal(everything(images)[:, 0], from_bytes(PIXELS))


def test_an_array_is_fitted_and_selected(npy):
    labels = str(npy.with_name("labels.npy"))
    images = arrays(path=str(npy), labels=labels, classes=(1,), limit=3, size=8, channels=3)
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
        assert torch.equal(everything(arrays(path=path))[:, 0], from_bytes(PIXELS))
    path = save(images=other, mine=PIXELS)
    assert torch.equal(everything(arrays(path=path, key="mine"))[:, 0], from_bytes(PIXELS))


def test_labels_are_in_the_npz_file_or_in_one_of_their_own(save, npy):
    path = save(mine=PIXELS, labels=LABELS)
    for labels in ("labels", str(npy.with_name("labels.npy"))):
        images = arrays(path=path, key="mine", labels=labels, classes=(0, 2))
        assert images.indices.tolist() == np.flatnonzero(LABELS != 1).tolist()
    assert len(arrays(path=path, labels="labels", classes=(0,))) == 4


def test_the_wrong_key_is_refused_with_those_there_are(save):
    path = save(left=PIXELS, right=PIXELS)
    refused(r"has the arrays left, right: choose one with -s data\.key=", arrays, path=path)
    refused(r"no array 'rigth'\. Did you mean 'right'\? It has: left, right", arrays, path=path, key="rigth")
    refused("no array 'label'", arrays, path=path, key="left", labels="label")


def test_a_key_or_labels_that_cannot_be_are_refused(save, npy):
    refused("holds a single array: leave out key", arrays, path=str(npy), key="images")
    refused("no such file: labels", arrays, path=str(npy), labels="labels")
    refused("labels is .*: expected a .npy file", arrays, path=str(npy), labels=save(x=LABELS))
    refused(r"labels have shape \(3,\)", arrays, path=save(x=PIXELS, y=np.zeros(3)), labels="y", classes=(0,))
    refused("classes needs labels", arrays, path=str(npy), classes=(0,))


def test_floating_images_are_taken_as_they_are(save):
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
    chosen = arrays(path=path, labels="y", classes=(2,), limit=3)
    assert chosen.shape == (3, 4)
    assert all(row in values[LABELS == 2].astype(np.float32).tolist() for row in chosen.tolist())


def test_vectors_may_leave_the_range_of_images(save):
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
            r"numbers in \[0, 1\], but images of floats must be .* store uint8",
        ),
        (np.linspace(0, 255, 300).reshape(3, 10, 10), r"numbers in \[0, 255\]"),
        (np.linspace(-1, 1.01, 300).reshape(3, 10, 10), r"numbers in \[-1, 1.01\]"),
        (np.linspace(-3, 1, 300).reshape(3, 10, 10), r"numbers in \[-3, 1\]"),
        (np.full((3, 2, 2), np.nan), "NaN or infinity"),
        (np.array([[0, np.inf]]), "NaN or infinity"),
        (np.zeros((3, 2, 2), np.int64), "type int64: store images as uint8"),
        (np.zeros((3, 2, 2), bool), "type bool"),
        (np.zeros(3), r"shape \(3,\): expected"),
        (np.zeros((2, 2, 2, 2, 2)), "expected"),
        (np.zeros((0, 4)), "expected"),
        (np.zeros((3, 2), np.uint8), "uint8 images are"),
        (np.array([{}, {}]), "cannot read"),
    ],
)
def test_arrays_of_other_numbers_are_refused(save, values, message):
    refused(message, arrays, path=save(x=values))


def test_every_piece_of_a_large_array_is_checked(save, monkeypatch):
    monkeypatch.setattr("ebmkit.data.array_files.CHUNK", 10)
    for row in (0, 7, 19):
        values = np.zeros((20, 2, 2))
        values[row, 1, 0] = np.nan
        refused("NaN", arrays, path=save(values))
        values[row, 1, 0] = -1.5
        refused(r"\[-1.5, 0\]", arrays, path=save(values))


def test_files_that_are_no_arrays_are_refused(tmp_path, npy):
    refused(r"no such file: .*pixel\.npy\. Did you mean 'pixels\.npy'", arrays, path=str(tmp_path / "pixel.npy"))
    for content in (b"", b"hello", npy.read_bytes()[:200], b"PK\x03\x04 no zip"):
        bad = tmp_path / "bad.npy"
        bad.write_bytes(content)
        refused("cannot read .*bad.npy", arrays, path=str(bad))
    refused("cannot read", arrays, path=str(tmp_path))


def test_a_damaged_member_of_an_npz_file_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=PIXELS)
    content = bytearray(path.read_bytes())
    content[150:160] = bytes(10)
    path.write_bytes(content)
    refused("cannot read the array 'x'", arrays, path=str(path))


def test_cifar_is_read_from_its_npz():
    path = shared("cifar10-lossless/cifar10-lossless.npz")
    images = arrays(path=path, key="train_images", labels="train_labels", classes=(3,), limit=100)
    assert Examples(images).shape == (3, 32, 32)
    batch = everything(images)
    assert len(batch) == 100
    assert batch.min() < -0.9
    assert batch.max() > 0.9


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


def test_idx_files_are_read_raw_and_gzipped_by_file_and_by_folder(mnist):
    (file,) = mnist.glob("*images*")
    for path in (mnist, file):
        assert torch.equal(everything(idx(path=str(path)))[:, 0], from_bytes(PIXELS))


def test_raw_idx_files_are_memory_mapped(mnist):
    (file,) = mnist.glob("*images*")
    assert isinstance(read(file, 3), np.memmap) == (file.suffix != ".gz")


def test_idx_images_are_selected_by_the_labels_beside_them(mnist):
    images = idx(path=str(mnist), classes=(2,), size=8, channels=3, limit=3)
    assert everything(images).shape == (3, 3, 8, 8)
    assert set(LABELS[images.indices]) == {2}


def test_raw_images_may_stand_beside_gzipped_labels(tmp_path):
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx_bytes(PIXELS))
    (tmp_path / "t10k-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(LABELS)))
    assert len(idx(path=str(tmp_path / "t10k-images.idx3-ubyte"), classes=(0,))) == 4


def test_labels_of_another_name_are_given(tmp_path):
    (tmp_path / "a").write_bytes(idx_bytes(PIXELS))
    (tmp_path / "b").write_bytes(idx_bytes(LABELS))
    path = str(tmp_path / "a")
    assert len(idx(path=path, labels=str(tmp_path / "b"), classes=(0,))) == 4
    refused(r"no file of labels goes with the name a: give one with -s data\.labels", idx, path=path, classes=(0,))
    (tmp_path / "b").write_bytes(idx_bytes(LABELS[:5]))
    refused(r"labels have shape \(5,\)", idx, path=path, labels=str(tmp_path / "b"))


def test_labels_are_only_needed_for_classes(mnist):
    for file in mnist.glob("*labels*"):
        file.unlink()
    assert len(idx(path=str(mnist))) == 12
    refused("no such file: .*train-labels-idx1-ubyte", idx, path=str(mnist), classes=(1,))


def test_a_missing_idx_file_is_refused(tmp_path, mnist):
    refused("no such file: .*nowhere", idx, path=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    refused("no such file: .*train-images-idx3-ubyte", idx, path=str(tmp_path / "empty"))
    refused("is a folder", idx, path=str(mnist), labels=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing, not 00 00 08 03"),
        (b"\x89PNG....", "starts with 89 50 4e 47, not 00 00 08 03"),
        (idx_bytes(LABELS), "with 3 axes: it starts with 00 00 08 01"),
        (b"\0\0\x0d\3" + bytes(100), "starts with 00 00 0d 03"),
        (idx_bytes(PIXELS)[:-1], "has 375 bytes but 376 by its header"),
        (idx_bytes(PIXELS) + b"x", "has 377 bytes but 376 by its header"),
        (idx_bytes(PIXELS)[:10], "has 10 bytes but"),
        (b"\0\0\x08\3" + b"\xff" * 12, "has 16 bytes but 79,228"),
        (gzip.compress(idx_bytes(PIXELS))[:-20], "cannot unzip .*cut short"),
        (gzip.compress(idx_bytes(PIXELS)[:-1]), "has 375 bytes but 376"),
        (b"\x1f\x8bnonsense", "cannot unzip"),
        (idx_bytes(PIXELS[:0]), "empty"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, content, message):
    (tmp_path / "images").write_bytes(content)
    refused(message, idx, path=str(tmp_path / "images"))


def test_fashion_mnist_is_read_as_it_is():
    images = idx(path=shared("fashion-mnist"), classes=(9,), size=32)
    assert isinstance(images, Images)
    assert len(images) == 6000
    batch = images.__getitems__(list(range(50)))
    assert batch.shape == (50, 1, 32, 32)
    assert torch.all(batch[:, :, :2] == -1)
    assert batch.max() == 1
