"""What a file is by its first bytes, so that one of another kind is refused with what to do with it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

HEAD = 512  # bytes at the beginning of a file in which its kind is searched


class Kind(NamedTuple):
    """What a file is, and how its contents can be used; both are empty for one that is not recognised."""

    name: str = ""
    remedy: str = ""

    @property
    def advice(self) -> str:
        """The kind and the remedy, to end a message; empty if it is not recognised."""
        return f"; it is {self.name}: {self.remedy}" if self.name else ""


UNPACK = "unpack it first"
FOLDER = "read it with --data folder -s data.path=FOLDER"
CONVERT = "save its arrays with numpy.save"
ARRAY = Kind("a .npy file", "read it with --data arrays")
IDX = Kind("an idx file", "read it with --data idx")
GZIP = Kind("a gzipped file", UNPACK)
TORCH = Kind("a file of torch.save", "load it with torch.load, and save its arrays with numpy.save")
KINDS = (
    (b"\x93NUMPY", ARRAY),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", TORCH),
    (b"\x89PNG", Kind("a picture", FOLDER)),
    (b"\xff\xd8\xff", Kind("a picture", FOLDER)),
    (b"GIF8", Kind("a picture", FOLDER)),
    (b"II*\0", Kind("a picture", FOLDER)),
    (b"MM\0*", Kind("a picture", FOLDER)),
    (b"PAR1", Kind("a parquet file", "read it with --data hub -s data.id=FILE")),
    (b"\x89HDF\r\n", Kind("an HDF5 file", CONVERT)),
    (b"MATLAB", Kind("a file of MATLAB", CONVERT)),
    (b"\0\0\x08", IDX),
    (b"\x1f\x8b", GZIP),
    (b"BZh", Kind("a file of bzip2", UNPACK)),
    (b"\xfd7zXZ", Kind("a file of xz", UNPACK)),
    (b"7z\xbc\xaf", Kind("a 7z archive", UNPACK)),
    (b"Rar!", Kind("a rar archive", UNPACK)),
    (b"%PDF", Kind("a PDF document", CONVERT)),
    (b"version https://git-lfs", Kind("a pointer of git lfs", "fetch the file itself with git lfs pull")),
    *((bytes([0x80, protocol]), Kind("a pickle", CONVERT)) for protocol in range(2, 6)),
)


def kind_of(path: Path) -> Kind:
    """What a file is by its first bytes, and for a zip by the names in it."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    if len(head) == HEAD and head[257:262] == b"ustar":
        return Kind("a tar archive", UNPACK)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return Kind("a web page", "download the file itself")
    for start, kind in KINDS:
        if head.startswith(start):
            return kind
    if head[8:10] == b'{"':
        return Kind("a safetensors file", CONVERT)
    if head and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return Kind("a text", "read it with numpy.loadtxt, and save its arrays with numpy.save")
    return Kind()


def _kind_of_zip(path: Path) -> Kind:
    """What a zip file is by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return Kind("a damaged zip file", "is it incomplete?")
    return kind_of_names(names)


def kind_of_names(names: Sequence[str]) -> Kind:
    """What a zip file with these members is; not recognised if it is an .npz file."""
    endings = [PurePath(name).suffix.lower() for name in names]
    if ".npy" in endings:
        return Kind()
    if any(PurePath(name).name == "data.pkl" for name in names):
        return TORCH
    if any(ending in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff") for ending in endings):
        return Kind("a zip of pictures", f"unpack it, and {FOLDER}")
    return Kind("a zip file without arrays", UNPACK)
