"""Letters that a stream cannot encode are written as others."""

import codecs
import io
import re
import tomllib
from pathlib import Path

import pytest

import ebmkit
from ebmkit.cli.console import result
from ebmkit.cli.letters import LETTERS, STAND_INS, escaped
from ebmkit.cli.streams import Plain, adapted, encodable
from ebmkit.config.tables import dumps


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("ascii", "hmc · ebmkit, p ∝ exp(-E), |p|², 3 ± 1", b"hmc | ebmkit, p ~ exp(-E), |p|^2, 3 +- 1"),
        ("ascii", "Fréchet, Schrödinger, x̄", b"Frechet, Schrodinger, x"),
        ("cp1252", "Fréchet · ρ ∝", b"Fr\xe9chet \xb7 rho ~"),
        ("ascii", "中 \U0001f600 ß", b"\\u4e2d \\U0001f600 \\u00df"),
        ("ascii", "name-\udcff.png", b"name-\xff.png"),
        ("utf-8", "Fréchet · 中", "Fréchet · 中".encode()),
    ],
)
def test_letters_that_cannot_be_encoded_have_others(encoding, text, written):
    assert text.encode(encoding, LETTERS) == written


def test_every_letter_of_our_texts_can_be_read_in_ascii():
    texts = [path.read_text(encoding="utf-8") for path in Path(ebmkit.__file__).parent.rglob("*.py")]
    letters = {letter for letter in "".join(texts) if not letter.isascii()}
    assert {"ρ", "∝", "²", "é"} <= letters
    unread = {letter for letter in letters - {"中"} if b"\\u" in letter.encode("ascii", LETTERS)}
    assert unread == set()


def test_stand_ins_are_ascii():
    assert all(stand_in.isascii() for stand_in in STAND_INS.values())


def test_the_handler_is_for_encoding_only():
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", LETTERS)


def test_escapes_are_those_of_toml():
    table = {"data": {"path": "ü/中/\U0001f600"}}
    text = escaped(dumps(table))
    assert text.isascii()
    assert tomllib.loads(text) == table


def written_by(stream: io.TextIOWrapper, text: str) -> bytes:
    """What a stream of the process writes once it is prepared for a command."""
    prepared = adapted(stream)
    prepared.write(text)
    prepared.flush()
    return stream.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "backslashreplace"])
@pytest.mark.parametrize(("encoding", "written"), [("ascii", b"|"), ("latin-1", b"\xb7"), ("utf-8", b"\xc2\xb7")])
def test_a_stream_writes_what_its_encoding_has(encoding, written, errors):
    assert written_by(io.TextIOWrapper(io.BytesIO(), encoding, errors), "·") == written


def test_an_error_handler_that_the_user_chose_is_kept():
    assert written_by(io.TextIOWrapper(io.BytesIO(), "ascii", "replace"), "·") == b"?"


def test_a_result_is_exact_and_escaped_where_it_must_be(monkeypatch):
    for encoding, written in (("utf-8", "é·中\n".encode()), ("cp1252", rb"\u00e9\u00b7\u4e2d" + b"\n")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr("sys.stdout", adapted(stream))
        result("é·中")
        assert stream.buffer.getvalue() == written  # type: ignore[attr-defined]
    plain = Plain(io.BytesIO(), "utf-8", "surrogateescape")
    assert not encodable("é", plain)
    assert encodable("e", plain)
    assert encodable("é", None)


def test_rules_for_letters_are_known_to_codecs():
    assert codecs.lookup_error(LETTERS).__name__ == "other_letters"
    assert re.fullmatch(r"[a-z.]+", LETTERS)
