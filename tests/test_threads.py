"""The threads of a run give way to other programs, and a line says when these are in the way."""

import os
import subprocess
import sys

import pytest

from ebmkit import threads
from ebmkit.threads import WAITING, busy, give_way, running


@pytest.fixture
def undecided(monkeypatch):
    """An environment that does not say how threads wait; what is set in it goes after the test."""
    for name in WAITING:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_threads_give_way_unless_told_how_to_wait(undecided):
    give_way()
    assert os.environ["GOMP_SPINCOUNT"] == threads.SPINS
    assert not {"OMP_WAIT_POLICY", "KMP_BLOCKTIME"} & set(os.environ)


@pytest.mark.parametrize("name", WAITING)
def test_what_the_user_said_of_waiting_stays(name, undecided, monkeypatch):
    monkeypatch.setenv(name, "7")
    before = dict(os.environ)
    give_way()
    assert dict(os.environ) == before


def test_openmp_hears_of_it_where_torch_comes_later(undecided):
    script = "import sys, ebmkit.threads as t; assert 'torch' not in sys.modules; t.give_way(); import torch"
    environment = {**os.environ, "OMP_DISPLAY_ENV": "VERBOSE"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    if "GOMP_SPINCOUNT" not in ran.stderr:
        pytest.skip("torch is built with another OpenMP than GNU's")
    assert f"GOMP_SPINCOUNT = '{threads.SPINS}'" in ran.stderr


@pytest.mark.parametrize(
    ("cores", "others", "wanted", "line"),
    [
        (2, 0, 2, ""),
        (2, 2, 1, ""),
        (8, 4, 4, ""),
        (2, 1, 2, "others keep 1 of 2 cores busy: 2 threads will wait for each other"),
        (2, 5, 2, "others keep 2 of 2 cores busy: 2 threads will wait for each other"),
        (8, 4, 6, "others keep 4 of 8 cores busy: 6 threads will wait for each other"),
    ],
)
def test_a_line_says_that_others_want_the_cores(cores, others, wanted, line, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(threads, "running", lambda: others)
    assert busy(wanted) == line


def test_programs_that_run_are_seen(monkeypatch):
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        assert running() >= (2 if sys.platform == "linux" else 0)
    finally:
        for one in spinners:
            one.kill()
            one.wait()


def test_a_look_counts_what_runs_now(tmp_path):
    place = tmp_path / "loadavg"
    place.write_text("2.05 2.35 1.64 3/91 18422\n")
    assert threads.look(place) == 3
