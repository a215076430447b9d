"""Files that are replaced as a whole."""

import os
import tempfile
from pathlib import Path

import pytest

from ebmkit.files import replacing, write_text


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_replaced_file_has_the_usual_permissions(tmp_path, monkeypatch, mask):
    before = os.umask(mask)
    try:
        monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the mask is shared by all threads"))
        with replacing(tmp_path / "a") as new:
            handle, name = tempfile.mkstemp(dir=tmp_path)
            os.close(handle)
            Path(name).rename(new)
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_after_an_exception_the_file_is_as_it_was(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a", "new" * 100_000 + "\udcff")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
