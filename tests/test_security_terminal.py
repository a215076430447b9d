"""Control characters of names, settings and messages are not sent to a terminal."""

import io
import sys
from pathlib import Path

import pytest
from commands import invoked
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from ebmkit.cli import console
from ebmkit.cli.console import SafeConsole, result, tabled
from ebmkit.errors import visible

# Clear the screen, in two spellings; a title; a line that overwrites itself; letters that reverse others.
HOSTILE = ["\x1b[2J", "\x9b2J", "\x1b]0;title\x07", "a\rb", "a\x7fb", "\u202eabc", "\u2028", "a\x00b", "\udc9b2J"]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_become_escapes(text):
    assert visible(text) != text
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in visible(text))
    assert visible(visible(text)) == visible(text)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_other_letters_stay(text):
    assert visible("line\n\tnext é 中 🎲 ‍") == "line\n\tnext é 中 🎲 ‍"
    assert all(
        letter.isprintable() or letter not in visible(text) or ord(letter) > 159 or letter in "\n\t" for letter in text
    )


def printed(thing, **how):
    file = io.StringIO()
    SafeConsole(file=file, force_terminal=True, color_system=None, width=200).print(thing, **how)
    return file.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_consoles_print_no_control_characters_of_a_text(text):
    table: Table = tabled(("a", "b"), [("x", text)], "a")
    for written in (printed(text, markup=False), printed(table)):
        assert not any(bad in written for bad in ("\x1b", "\x9b", "\r", "\x7f", "\u202e", "\u2028", "\x00", "\udc9b"))


def test_colours_of_a_console_stay():
    file = io.StringIO()
    SafeConsole(file=file, force_terminal=True, color_system="standard").print("error", style="red", markup=False)
    assert file.getvalue() == "\x1b[31merror\x1b[0m\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_result_is_exact_unless_a_terminal_shows_it(monkeypatch, terminal):
    file = io.StringIO()
    monkeypatch.setattr(file, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", file)
    result("a\x1b[2J")
    assert file.getvalue() == ("a\\u001b[2J\n" if terminal else "a\x1b[2J\n")


@pytest.mark.parametrize("words", [["sample"], ["sample", "a"], ["report"], ["train", "--config"], ["list"], []])
def test_hostile_names_in_errors_are_escapes(empty_folder, words):
    name = "\x1b[2Jname"
    Path(name).mkdir()
    _, stderr = invoked(*words, name, code=2)
    assert "[2Jname" in stderr  # typer has escapes of its own for some
    assert "\x1b" not in stderr


def test_warnings_of_other_libraries_are_escapes(capsys):
    console.show(UserWarning("cut off: \x1b[2J"), UserWarning, "a.py", 1)
    assert capsys.readouterr().err == "warning: UserWarning: cut off: \\u001b[2J\n"


def test_the_two_consoles_are_safe():
    assert isinstance(console.out(), SafeConsole)
    assert isinstance(console.err(), SafeConsole)
