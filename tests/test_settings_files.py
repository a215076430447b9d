"""Files of settings as editors write them: marks, line ends and encodings; and files that are something else."""

import codecs
from pathlib import Path

import pytest
from commands import SMALL, printed, train, updates_of

from ebmkit.config.layers import read
from ebmkit.errors import UsageError

pytestmark = pytest.mark.usefixtures("empty_folder")

TEXT = '# Größe\n[energy]\nwidth = 5\n\n[data]\nuse = "arrays"\npath = "ä/中.npy"\n'


def values(content: bytes) -> dict[str, object]:
    """The values of a file with this content, by their section and key."""
    Path("a.toml").write_bytes(content)
    layer = read(Path("a.toml"))
    return {f"{name}.{key}": one.value for name, keys in layer.sections.items() for key, one in keys.items()}


def message(content: bytes) -> str:
    """The one line by which a file with this content is refused."""
    with pytest.raises(UsageError) as raised:
        values(content)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
    ],
    ids=["utf-8", "utf-8 with a mark", "utf-16", "utf-16-be", "utf-16-le bare", "utf-16-be bare", "utf-32"],
)
def test_a_file_is_read_in_the_encoding_of_its_editor(encode, ends):
    found = values(encode(TEXT.replace("\n", ends)))
    assert found == {"energy.width": 5, "data.use": "arrays", "data.path": "ä/中.npy"}


def test_a_value_keeps_its_line_after_a_mark():
    Path("a.toml").write_bytes(codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode())
    assert read(Path("a.toml")).sections["energy"]["width"].origin == "a.toml:3"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_file_of_another_encoding_is_named_with_its_line(encoding):
    content = "[data]\nuse = 'arrays'\npath = 'ä.npy'\n".encode(encoding)
    assert message(content) == (
        "cannot read configuration a.toml: it is not UTF-8 (byte 0xe4 in line 3); save it as UTF-8"
    )


@pytest.mark.parametrize("content", [codecs.BOM_UTF16_LE + b"\x00", b"PK\x03\x04\xff\xfe" * 3, b"\x80\x02}"])
def test_a_file_that_is_no_text_is_refused_in_one_line(content):
    assert "save it as UTF-8" in message(content)


def test_zeros_within_a_text_are_refused_as_toml():
    assert message(b"[energy]\nwidth = 5\x00\n").startswith("a.toml is not valid TOML: ")


@pytest.mark.parametrize("number", [".5", "3.", "-.5", "[.5, 1.0]"])
def test_a_number_that_toml_does_not_have_gets_a_hint(number):
    text = f"[sampler]\nnoise = {number}\n"
    assert message(text.encode()).endswith("; TOML writes 0.5 and 3.0, not .5 and 3.")
    assert "TOML writes" not in message(b"[sampler]\nnoise = = 0.5\n")


def test_the_configuration_of_a_run_may_be_saved_by_an_editor():
    train(*SMALL, "--iterations", "1", "--out", "a")
    for name in ("config.toml", "env.json", "metrics.jsonl"):
        path = Path("a") / name
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    train("--resume", "a", "--iterations", "2")
    assert updates_of("a") == 2
    assert Path("a/metrics.jsonl").read_text(encoding="utf-8").count('"update"') == 2
    assert '"versions"' in Path("a/env.json").read_text(encoding="utf-8").partition('"resumed"')[0]


def test_the_home_folder_is_found_behind_an_equals_sign(monkeypatch):
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    Path("home").mkdir()
    Path("home/a.toml").write_text("[energy]\nwidth = 7\n")
    assert printed("--config=~/a.toml")[0]["energy"]["width"] == 7
    train(*SMALL, "--iterations", "1", "--out=~/runs/a/")
    assert updates_of("home/runs/a") == 1
    assert not Path("~").exists()
