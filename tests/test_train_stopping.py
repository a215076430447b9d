"""`ebmkit train` and signals: the current update is finished and saved."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from commands import SMALL, metrics, objects, process, same_run, train, updates_of

from ebmkit.registry.lookup import register
from ebmkit.runs.signals import stop_signals

pytestmark = pytest.mark.usefixtures("empty_folder")


def signals(updates, *, at: int = 3, number: int = int(signal.SIGINT), times: int = 1):
    """Sends signals to this process.

    Args:
        at: At which update.
        number: Which signal.
        times: How often.
    """
    for update in updates:
        if update.index == at:
            for _ in range(times):
                signal.raise_signal(signal.Signals(number))
        yield update


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_resumes_to_the_same_weights(number):
    register("watcher", "signals", signals)
    before = signal.getsignal(number)
    words = (*SMALL, "--iterations", "6", "-s", f"watch.signals.number={int(number)}")
    stdout, stderr = train(*words, "--out", "a", code=130, quiet=False)
    assert stdout == ""
    assert "stopping after this update; a second signal stops at once\n" in stderr
    assert stderr.splitlines()[-1] == "stopped after update 3; resume with: ebmkit train --resume a"
    assert updates_of("a") == 3
    assert signal.getsignal(number) is before
    train("--resume", "a", "-s", "watch.signals.at=99")
    train(*SMALL, "--iterations", "6", "--out", "b")
    assert same_run("a", "b")


def test_json_reports_the_interruption():
    register("watcher", "signals", signals)
    words = ("--iterations", "6", "--watch", "signals", "--json")
    stdout, _ = train(*SMALL, *words, "--out", "a", code=130)
    assert [line.get("update") for line in objects(stdout)] == [1, 2, 3, None]
    assert objects(stdout)[-1] == {"schema": 2, "status": "interrupted", "folder": "a"}


def test_a_signal_in_the_last_update_does_not_interrupt():
    register("watcher", "signals", signals)
    assert train(*SMALL, "--iterations", "3", "--watch", "signals", "--out", "a")[0] == "a\n"


def test_the_second_signal_stops_at_once():
    register("watcher", "signals", signals)
    words = ("--iterations", "6", "--watch", "signals", "-s", "watch.signals.times=2", "--json")
    stdout, stderr = train(*SMALL, *words, "--out", "a", code=130)
    assert "Traceback" not in stderr
    assert objects(stdout)[-1]["status"] == "interrupted"
    assert updates_of("a") <= 3


def test_signal_handlers_are_restored():
    before = signal.getsignal(signal.SIGINT)
    with stop_signals(print) as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_process_finishes_its_update_and_saves(number):
    log = Path("a/metrics.jsonl")
    with process(*SMALL, "--iterations", "100000", "--out", "a") as running:
        until = time.monotonic() + 100
        while time.monotonic() < until and not (log.exists() and log.read_text().count("\n") >= 3):
            time.sleep(0.02)
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stdout == ""
    index = int(metrics("a")[-1]["update"])
    assert stderr.splitlines()[-1] == f"stopped after update {index}; resume with: ebmkit train --resume a"
    assert "Traceback" not in stderr
    assert updates_of("a") == index
    last = str(index + 3)
    train("--resume", "a", "--iterations", last)
    train(*SMALL, "--iterations", last, "--out", "b")
    assert same_run("a", "b")


def test_handlers_stay_when_the_end_comes_in_another_thread():
    before = signal.getsignal(signal.SIGINT)
    context = stop_signals(print)
    context.__enter__()
    raised = []

    def leave():
        try:
            context.__exit__(None, None, None)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, before if kind == signal.SIGINT else signal.SIG_DFL)
    assert raised == []


@pytest.fixture
def hangup():
    """Restores what SIGHUP does."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
def test_a_hangup_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_signals(print) as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop.is_set()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_second_hangup_does_not_stop_at_once():
    with stop_signals(print) as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_set()


def test_a_signal_stops_where_its_line_cannot_be_printed():
    def closed(line):
        raise OSError(5, "Input/output error")

    with stop_signals(closed) as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_set()


def test_a_signal_in_a_command_leaves_no_half_files():
    code = (
        "import os, signal, time\n"
        "from pathlib import Path\n"
        "from ebmkit.cli.streams import end_on_signals\n"
        "from ebmkit.files import replacing\n"
        "end_on_signals()\n"
        "with replacing(Path('a')) as new:\n"
        "    new.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=50, check=False).returncode == 143
    assert list(Path().iterdir()) == []
