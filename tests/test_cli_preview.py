"""Pictures in the terminal."""

import numpy as np
import pytest
from commands import invoked, terminal
from PIL import Image

from ebmkit.cli.preview import half_blocks

pytestmark = pytest.mark.usefixtures("models")


@pytest.mark.parametrize("words", [("sample", "-n", "2"), ("reconstruct", "-n", "2", "--updates", "1")])
def test_without_a_terminal_there_is_no_preview(words):
    _, stderr = invoked(words[0], "digits", *words[1:], "--show")
    assert stderr.splitlines()[-1] == "no preview: stderr is not a terminal"


def test_a_terminal_without_colours_has_no_preview(monkeypatch):
    terminal(monkeypatch, color_system=None)
    assert invoked("sample", "digits", "-n", "2", "--show")[1] == "no preview: this terminal has no colours\n"


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "--out", "a.npy"),
        ("reconstruct", "-n", "2", "--updates", "1"),
        ("interpolate", "--columns", "2"),
        ("long-run", "--times", "1"),
    ],
)
def test_a_preview_is_shown_on_stderr(words, monkeypatch):
    written = terminal(monkeypatch, color_system="truecolor", width=40)
    stdout, _ = invoked(words[0], "digits", *words[1:], "--show")
    lines = written.getvalue().splitlines()
    assert lines
    assert max(line.count("▀") for line in lines) <= 40
    assert "\x1b[38;2;" in lines[0]
    assert stdout.count("\n") == 1


def test_each_half_block_shows_two_pixels():
    picture = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3))
    found = list(half_blocks(picture, 80).segments)
    assert [segment.text for segment in found] == ["▀", "▀", "▀", "▀", "\n"] * 2
    seen = found[1].style
    assert seen is not None
    assert seen.color is not None
    assert seen.bgcolor is not None
    assert (tuple(seen.color.triplet or ()), tuple(seen.bgcolor.triplet or ())) == ((3, 4, 5), (15, 16, 17))
    last = found[5].style
    assert last is not None
    assert last.color == last.bgcolor


def test_pictures_are_averaged_to_the_width_of_the_terminal():
    picture = Image.fromarray(np.array([[0, 200, 50, 50]] * 8, dtype=np.uint8))
    found = list(half_blocks(picture, 3).segments)
    assert [segment.text for segment in found] == ["▀", "▀", "\n"] * 2
    assert [str(segment.style) for segment in found[:2]] == ["#646464 on #646464", "#323232 on #323232"]
