"""Files of another kind than the reader expects: they are named for what they are, in a short line."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from image_data import encoded, refused
from safetensors.numpy import save

from ebmkit.data.arrays import arrays
from ebmkit.data.folder import folder
from ebmkit.data.idx import idx

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return file.getvalue()


def of_torch(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


KINDS = {
    "a zip of pictures: unpack it, and read it with --data folder": zipped(*(f"faces/{i:05d}.JPG" for i in range(500))),
    "a zip file without arrays: unpack it": zipped("a.txt"),
    "a file of torch.save: load it with torch.load": of_torch(torch.zeros(3)),
    "a file of torch.save: load": of_torch(torch.zeros(3), _use_new_zipfile_serialization=False),
    "a pickle: save its arrays with numpy.save": pickle.dumps({"x": PIXELS}),
    "a web page: download the file itself": b"\xef\xbb\xbf\n <!DOCTYPE html><html>Sign in</html>",
    "a parquet file: read it with --data hub": b"PAR1" + bytes(50),
    "an HDF5 file: save its arrays": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "a file of MATLAB: save its arrays": b"MATLAB 5.0 MAT-file" + bytes(200),
    "a picture: read it with --data folder": encoded(PIXELS),
    "a gzipped file: unpack it": gzip.compress(b"content"),
    "a tar archive: unpack it": tarred(),
    "a safetensors file: save": save({"x": PIXELS}),
    "a pointer of git lfs: fetch": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a text: read it with numpy.loadtxt": b"1,2,3\n4,5,6\n",
}


@pytest.mark.parametrize("message", KINDS)
def test_a_file_given_as_arrays_is_named(tmp_path, message):
    for name in ("a.npy", "a.npz"):
        path = tmp_path / name
        path.write_bytes(KINDS[message])
        refused(f"cannot read .* as .npy or .npz; it is {message}", arrays, path=path)
        with pytest.raises(ValueError, match="it is") as error:
            arrays(path=path)
        assert len(str(error.value)) < 200 + len(str(path))


def test_an_idx_file_given_as_arrays_is_named(tmp_path):
    (tmp_path / "a").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 5]))
    refused("it is an idx file: read it with --data idx", arrays, path=tmp_path / "a")


def test_a_damaged_zip_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", x=PIXELS)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    refused("it is a damaged zip file: is it incomplete?", arrays, path=tmp_path / "a.npz")


@pytest.mark.parametrize(
    "message",
    [message for message in KINDS if message.startswith(("a web", "a zip", "a pic", "a file of t", "a parq"))],
)
def test_a_file_given_as_idx_is_named(tmp_path, message):
    (tmp_path / "a.gz").write_bytes(KINDS[message])
    refused(f"a.gz is not an idx file of bytes with 3 axes: .*; it is {message}", idx, path=tmp_path / "a.gz")


@pytest.mark.parametrize("message", ["a zip of pictures: unpack it", "a tar archive: unpack it"])
def test_an_archive_given_as_a_folder_is_named(tmp_path, message):
    (content,) = (content for text, content in KINDS.items() if text.startswith(message))
    (tmp_path / "faces").write_bytes(content)
    refused(f"faces is a file: expected a folder of images; it is {message}", folder, path=tmp_path / "faces")


def test_an_unknown_kind_has_no_advice(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\xfe\xed\xfa\xce" * 20)
    with pytest.raises(ValueError, match="cannot read") as error:
        arrays(path=tmp_path / "a.npy")
    assert "it is" not in str(error.value)


def test_the_message_of_many_arrays_stays_short(tmp_path):
    np.savez(tmp_path / "a.npz", **{f"array{number}": PIXELS for number in range(300)})
    for given in ({}, {"key": "b"}):
        with pytest.raises(ValueError, match=r"and \d+ more") as error:
            arrays(path=tmp_path / "a.npz", **given)
        assert len(str(error.value)) < 300 + len(str(tmp_path))
