"""Streams of the process that are closed, of another encoding, full, or not read."""

import io
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import SMALL, updates_of

from ebmkit.cli import main, streams
from ebmkit.cli.streams import Lenient

pytestmark = pytest.mark.usefixtures("empty_folder")

TINY = ("train", *SMALL, "--iterations", "2", "--out", "a")


def shell(line: str, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of the shell, in which `"$@"` is `ebmkit` with these words."""
    command = ["bash", "-c", line, "bash", sys.executable, "-m", "ebmkit", *words]
    return subprocess.run(command, capture_output=True, timeout=100, env=os.environ | environment, check=False)


class Kept(io.BytesIO):
    """Bytes that can be read after the stream above them is closed."""

    def close(self) -> None:
        pass


def printed(monkeypatch, encoding: str, *words: str) -> bytes:
    """What the program `ebmkit` prints on a stdout of this encoding; it must end without an error."""
    kept = Kept()
    with monkeypatch.context() as patch:
        patch.setattr(streams, "end_on_signals", lambda: None)
        patch.setattr(streams, "end_at_once", lambda: None)
        patch.setattr(sys, "argv", ["ebmkit", *words])
        patch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding))
        patch.setattr(sys, "stderr", io.StringIO())
        with pytest.raises(SystemExit) as end:
            main.run()
    assert end.value.code == 0
    return kept.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
@pytest.mark.parametrize("words", [("--help",), ("evaluate", "--help"), ("list",), ("show", "sampler", "hmc")])
def test_commands_print_in_every_encoding(monkeypatch, encoding, words):
    text = printed(monkeypatch, encoding, *words).decode(encoding)
    assert "\\u" not in text
    assert any(part in text for part in ("exp(-E", "chet"))


def test_settings_are_printed_as_toml_in_every_encoding(monkeypatch):
    Path("ü中.npy").write_bytes(b"")
    words = ("train", "--print-config", "--data", "arrays", "-s", "data.path=ü中.npy")
    table = tomllib.loads(printed(monkeypatch, "cp1252", *words).decode("ascii"))
    assert Path(table["data"]["path"]).name == "ü中.npy"


def test_the_locale_c_prints_in_ascii():
    done = shell('"$@"', "--help", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0
    assert b"p(x) ~ exp(-E(x))" in done.stdout
    assert done.stdout.isascii()


def test_processes_of_a_command_have_streams_too():
    code = (
        "import subprocess, sys; from ebmkit.cli import streams; streams.prepare();"
        "sys.exit(subprocess.call([sys.executable, '-c', 'import sys; sys.exit(sys.stderr is None)']))"
    )
    done = subprocess.run(["bash", "-c", 'exec "$@" 2>&-', "bash", sys.executable, "-c", code], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("words", [("--help",), ("list",)])
def test_a_closed_stdout_is_no_error(words):
    done = shell('"$@" >&-', *words)
    assert (done.returncode, done.stderr) == (0, b"")


def test_errors_keep_their_code_where_stderr_is_closed():
    assert shell('"$@" 2>&-', "list", "nothing").returncode == 2


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "2>/dev/full"])
def test_a_run_needs_no_streams(streams):
    done = shell(f'"$@" {streams}', *TINY)
    assert (done.returncode, done.stderr) == (0, b"")
    assert updates_of("a") == 2


def test_files_do_not_get_the_descriptor_of_a_stream():
    code = "from ebmkit.cli import streams; streams.prepare(); print(open('x', 'w').fileno() > 2)"
    done = subprocess.run(
        ["bash", "-c", '"$@" 2>&- <&-', "bash", sys.executable, "-c", code], capture_output=True, timeout=60, check=True
    )
    assert done.stdout == b"True\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [("--help",), ("version",)])
def test_a_full_stdout_is_one_line_and_exit_1(words):
    done = shell('"$@" >/dev/full', *words)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.endswith(b"No space left on device\n")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_run_whose_lines_cannot_be_printed_is_saved():
    done = shell('"$@" --json -q --iterations 50 >/dev/full', *TINY[:-4], "--out", "a")
    assert done.returncode == 1
    assert done.stderr == b"error: [Errno 28] No space left on device\n"
    assert updates_of("a") == 1


def test_a_run_whose_messages_are_not_read_goes_on():
    done = shell('"$@" 2>&1 >/dev/null | head -n 1; echo ${PIPESTATUS[0]}', *TINY)
    assert done.stdout.splitlines()[-1] == b"0"
    assert updates_of("a") == 2


@pytest.mark.parametrize("words", [("list",), ("--help",)])
def test_a_pipe_that_is_not_read_prints_no_error(words):
    done = shell('"$@" | true; echo ${PIPESTATUS[0]}', *words, PYTHONUNBUFFERED="1")
    assert done.stderr == b""
    assert done.stdout in (b"0\n", b"1\n")


def test_a_lenient_file_writes_all_or_drops_it(tmp_path):
    with Lenient(tmp_path / "a", "w") as file:
        assert file.write(b"x" * 100_000) == 100_000
    assert (tmp_path / "a").stat().st_size == 100_000
    read, write = os.pipe()
    os.close(read)
    with Lenient(write, "w") as file:
        assert file.write(b"lost") == 4


ENDING = """
import atexit, os, signal, sys
from ebmkit.__main__ import run
atexit.register(lambda: os.kill(os.getpid(), signal.NAME))
sys.argv[1:] = ["version"]
run()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_while_python_ends_prints_no_traceback(name):
    code = ENDING.replace("NAME", name)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stderr) == (-getattr(signal, name), "")
    assert ended.stdout.startswith("ebmkit ")
