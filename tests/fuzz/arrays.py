"""Arrays: .npy, .npz, idx files raw and gzipped, and files of labels."""

import gzip
import io
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from ebmkit.data import Examples, arrays, idx
from fuzz.kind import Kind
from fuzz.mutations import in_a_zip, mutated
from fuzz.values import FLOATS, NUMBERS, mostly

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 6, 4), dtype=np.uint8)
VECTORS = RNG.uniform(-1, 1, (5, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 1, 0])


def npy(array: np.ndarray[Any, Any], pickled: bool = False) -> bytes:
    """An array as a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def arrays_as_npy(place: Path) -> list[bytes]:
    """Images and vectors, and arrays of types that are refused."""
    good = [PIXELS, np.stack([PIXELS] * 3, axis=3), VECTORS, VECTORS.astype(">f8"), np.asfortranarray(PIXELS)]
    other = [VECTORS.astype(np.float16).reshape(5, 1, 1, 3), np.array(["a", "b"]), np.zeros((3, 0)), np.array(1.0)]
    other += [np.zeros(3, [("a", "f4"), ("b", "i2")]), np.array(["2020-01-01"], "M8[D]"), VECTORS + 1j]
    return [*map(npy, good), *map(npy, other), npy(np.array([{}, None], object), pickled=True)]


def read_npy(place: Path) -> None:
    """Open the array and read all examples."""
    check(arrays(path=place / "a.npy"))


def check(source: Any) -> None:
    """Every example of a data set is finite and of the first one's shape."""
    data = Examples(source)
    x = data.fetch(torch.arange(min(len(data), 100)))
    assert x.shape[1:] == data.shape
    assert bool(x.isfinite().all())


def npz(**named: Any) -> bytes:
    """Arrays as a .npz file."""
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def arrays_as_npz(place: Path) -> list[bytes]:
    """Images with labels, vectors, compressed arrays, and names that are not those of files."""
    file = io.BytesIO()
    np.savez_compressed(file, images=PIXELS, labels=LABELS)
    odd = {"../x": PIXELS, "labels": LABELS}
    return [npz(images=PIXELS, labels=LABELS), npz(x=VECTORS, labels=np.eye(5)), file.getvalue(), npz(**odd)]


def read_npz(place: Path) -> None:
    """Open the array, and then its images of one class."""
    check(arrays(path=place / "a.npz", labels="labels"))
    check(arrays(path=place / "a.npz", labels="labels", classes=(1,), size=8, limit=2))


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """An array of bytes as an idx file."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_images(place: Path) -> list[bytes]:
    """Images in an idx file, and the labels beside it."""
    (place / "a-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS.astype(np.uint8)))
    return [idx_bytes(PIXELS), idx_bytes(PIXELS[:1])]


def idx_images_gz(place: Path) -> list[bytes]:
    """The same, gzipped."""
    return [gzip.compress(content, mtime=0) for content in idx_images(place)]


def in_a_gzip(rng: Any, seeds: list[bytes]) -> bytes:
    """A valid gzipped file with its content mutated."""
    return gzip.compress(mutated(rng, [gzip.decompress(seed) for seed in seeds]), mtime=0)


def idx_labels(place: Path) -> list[bytes]:
    """Labels in an idx file, and the images beside it."""
    (place / "a-images-idx3-ubyte").write_bytes(idx_bytes(PIXELS))
    return [idx_bytes(LABELS.astype(np.uint8))]


def read_idx(place: Path) -> None:
    """Open the images, all and those of one class."""
    (images,) = place.glob("a-images*")
    check(idx(path=images))
    check(idx(path=images, classes=(1,), transpose=True, size=8))


lengths = st.sampled_from([0, 1, 2, 5, 6, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1])


def idx_made() -> st.SearchStrategy[bytes]:
    """Headers of any type, any number of axes and any lengths, with the right or a wrong number of bytes."""
    sizes = mostly(st.lists(st.integers(1, 6), min_size=3, max_size=3), st.lists(lengths, max_size=5))
    code = mostly(st.just(8), st.sampled_from([9, 0x0B, 0x0C, 0x0D, 0x0E, 0, 255]))
    more = mostly(st.just(0), st.sampled_from([1, -1, 100]))
    return st.builds(idx_of, mostly(st.just(0), st.just(1)), code, sizes, more)


def idx_of(zero: int, code: int, sizes: list[int], more: int) -> bytes:
    """An idx file of this header, with as many bytes as it says, up to a thousand, or more."""
    header = struct.pack(f">BBBB{len(sizes)}I", 0, zero, code, len(sizes), *sizes)
    return header + bytes(max(0, min(1000, math.prod(sizes)) + more))


# Types in the header of a .npy file, of which only the first are those of images.
TYPES = [
    "|u1",
    "<f4",
    ">f8",
    "<f2",
    "|O",
    "<U3",
    "|S4",
    "<M8[s]",
    "|V7",
    "<c8",
    "<f16",
    "|b1",
    "<i8",
    "|u9",
    "f4,i2",
    "[('a','<f4')]",
    "('u1',(3,))",
    "{'names':[]}",
    "<U999999999",
    "|S0",
    "O8",
]
TYPES += ["", "<f4" * 2000]


def npy_made() -> st.SearchStrategy[bytes]:
    """Headers with any type, shape and order, and keys too many or missing."""
    number = mostly(st.integers(1, 6), st.sampled_from([*NUMBERS, *FLOATS, True, None, "3"]))
    shape = st.lists(number, min_size=1, max_size=4).map(lambda sizes: str(tuple(sizes)))
    header = st.builds(
        lambda kind, order, sizes, more: f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {sizes}, {more}}}",
        mostly(st.sampled_from(TYPES[:4]).map(repr), st.sampled_from(TYPES).map(repr) | st.sampled_from(TYPES)),
        mostly(st.sampled_from(["False", "True"]), st.sampled_from(["0", "None", "'x'"])),
        mostly(shape, st.sampled_from(["3", "(", "[3]", "None", "()"])),
        mostly(st.just(""), st.sampled_from(["'x': 1", "'shape': (2, 2)", "__import__('os')"])),
    )
    version = mostly(st.just((1, 0)), st.sampled_from([(2, 0), (3, 0), (9, 9)]))
    more = mostly(st.just(0), st.sampled_from([1, -1, 60000]))
    return st.builds(npy_of, version, header, more, st.binary(min_size=40, max_size=3000))


def npy_of(version: tuple[int, int], header: str, more: int, body: bytes) -> bytes:
    """A .npy file of this header, whose length may be wrong."""
    text = header.encode().ljust(128 - 10)
    size = (len(text) + more) % 2**16
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version[0] == 1 else "<I", size) + text + body


TRAIN = ("train", "--energy", "mlp", "-s", "train.batch_size=1", "--dry-run", "-q", "--data")
KINDS = [
    Kind("npy", "a.npy", arrays_as_npy, read_npy, npy_made(), words=(*TRAIN, "arrays", "-s", "data.path=a.npy")),
    Kind(
        "npz",
        "a.npz",
        arrays_as_npz,
        read_npz,
        npy_made().map(lambda content: stored("images.npy", content)),
        mutations=(mutated, in_a_zip),
        words=(*TRAIN, "arrays", "-s", "data.path=a.npz", "-s", "data.key=images"),
    ),
    Kind(
        "idx",
        "a-images-idx3-ubyte",
        idx_images,
        read_idx,
        idx_made(),
        words=(*TRAIN, "idx", "-s", "data.path=a-images-idx3-ubyte"),
    ),
    Kind(
        "idx-gz",
        "a-images-idx3-ubyte.gz",
        idx_images_gz,
        read_idx,
        idx_made().map(lambda content: gzip.compress(content, mtime=0)),
        mutations=(mutated, in_a_gzip),
        words=(*TRAIN, "idx", "-s", "data.path=a-images-idx3-ubyte.gz"),
    ),
    Kind(
        "idx-labels",
        "a-labels-idx1-ubyte",
        idx_labels,
        read_idx,
        idx_made(),
        words=(*TRAIN, "idx", "-s", "data.path=a-images-idx3-ubyte", "-s", "data.classes=[1]"),
    ),
]


def stored(name: str, content: bytes) -> bytes:
    """A zip with one file."""
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
        archive.writestr(zipfile.ZipInfo("labels.npy"), npy(LABELS))
    return file.getvalue()
