"""Commands that a thread of another program calls, as a web page or a notebook does."""

import sys
import threading
import warnings
from collections.abc import Callable

import pytest
from commands import SMALL, updates_of
from typer.testing import CliRunner

from ebmkit.cli.console import notices
from ebmkit.cli.main import app
from ebmkit.errors import Notice

pytestmark = pytest.mark.usefixtures("empty_folder")

TRAIN = ["train", *SMALL, "--iterations", "2", "--out", "a"]


class Sink:
    """A stream that has nothing but `write` and `flush`, as that of a program with a window of its own."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def in_a_thread(call: Callable[[], object]) -> object:
    """What a function returns or raises in a thread of its own."""
    found: list[object] = []

    def one() -> None:
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=one)
    thread.start()
    thread.join()
    return found[0]


def code_of(*words: str) -> object:
    """The exit code of a command in a thread, with the streams of this process."""
    end = in_a_thread(lambda: app(list(words)))
    assert isinstance(end, SystemExit), end
    return end.code


def test_a_run_can_be_trained_in_a_thread():
    result = in_a_thread(lambda: CliRunner().invoke(app, TRAIN))
    assert (result.exit_code, result.stdout) == (0, "a\n")  # type: ignore[attr-defined]
    assert updates_of("a") == 2


@pytest.mark.parametrize("make", [Sink, lambda: None], ids=["a stream that only writes", "no stream"])
def test_commands_need_no_file_as_their_stream(monkeypatch, make):
    stdout, stderr = make(), make()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    assert code_of("list") == 0
    assert code_of("list", "nothing") == 2
    assert code_of(*TRAIN) == 0
    assert code_of("long-run", "a", "-n", "1", "--times", "1", "--show") == 0
    assert updates_of("a") == 2
    if stdout is not None:
        assert stdout.text.endswith("a\na/generated/long-run.png\n")
        assert "unknown kind 'nothing'" in stderr.text


def test_commands_at_once_leave_warnings_as_they_were():
    before, filters = warnings.showwarning, list(warnings.filters)
    first, second = notices(), notices()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("ebmkit.cli.console.say", lambda text, style=None: said.append(text))
        warnings.warn("later", Notice, stacklevel=1)
    second.__exit__(None, None, None)
    assert said == ["warning: later"]
    assert warnings.showwarning is before
    assert list(warnings.filters) == filters
