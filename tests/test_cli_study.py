"""`ebmkit study`."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import invoked, objects, refused
from studies import WORDS, without_times

from ebmkit.data import moons
from ebmkit.registry.lookup import register
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.study import worker
from ebmkit.study.folder import Study

pytestmark = pytest.mark.usefixtures("empty_folder")


def process(*words):
    command = [sys.executable, "-m", "ebmkit", "study", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_study_ends_with_a_table_on_stdout():
    stdout, stderr = invoked("study", "a", *WORDS, "--measures", "precision,recall")
    assert stdout.splitlines()[0].split() == ["steps", "Precision", "Recall", "runs"]
    assert len(re.findall(r"2 of 2", stdout)) == 2
    assert stderr.splitlines()[0] == "study     a: 4 cells, 2 settings x 2 seeds"
    assert "cell      1 of 4: steps=2,seed=0\n" in stderr
    assert "done      4 of 4: steps=3,seed=1: 3 updates, " in stderr
    assert stderr.splitlines()[-1] == "written   a: table.md, table.csv, figure.png"
    assert {path.name for path in Path("a").iterdir()} == {
        *("cells", "claims", "results", "study.toml", "table.md", "table.csv", "figure.png")
    }


def test_a_table_fits_a_terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stdout, _ = invoked("study", "a", *WORDS, "--zip", "optimizer.lr=0.01,0.1")
    assert max(map(len, stdout.splitlines())) <= 80
    titles = " ".join(stdout.splitlines()[:2])
    assert all(word in titles for word in ("steps", "lr", "Fréchet", "Precision", "Recall", "Energy", "runs"))


def test_a_study_that_is_finished_only_prints_its_table():
    first, _ = invoked("study", "a", *WORDS)
    second, stderr = invoked("study", "a")
    assert (first, invoked("study", "a", "--table")[0]) == (second, second)
    assert "cell " not in stderr


def test_json_has_a_line_for_every_cell_and_one_for_the_table():
    stdout, stderr = invoked("study", "a", *WORDS, "--json", "-q")
    *cells, last = objects(stdout)
    assert [cell["cell"] for cell in cells] == [cell.name for cell in Study("a").cells]
    assert all(cell["status"] == "done" and cell["schema"] == 2 and cell["measures"] for cell in cells)
    assert [row["sampler.steps"] for row in last["rows"]] == ["2", "3"]
    assert stderr == ""


def test_quiet_prints_only_the_file_of_the_table():
    assert invoked("study", "a", *WORDS, "-q") == ("a/table.md\n", "")


def test_the_listed_commands_make_the_study_cell_by_cell():
    stdout, _ = invoked("study", "a", *WORDS, "--list")
    assert stdout.splitlines() == [f"ebmkit study a --cell {number}" for number in (1, 2, 3, 4)]
    assert not any(Path("a/cells").iterdir())
    for line in reversed(stdout.splitlines()):
        assert invoked(*line.split()[1:])[0] == ""
    invoked("study", "b", *WORDS, "-q")
    assert without_times(Study("a")) == without_times(Study("b"))
    assert objects(invoked("study", "a", "--list", "--json")[0])[3] == {
        **{"schema": 2, "cell": "steps=3,seed=1", "command": "ebmkit study a --cell 4"}
    }


def test_a_file_with_a_table_of_the_study_is_its_plan():
    Path("k.toml").write_text(
        "[energy]\nuse = 'mlp'\nwidth = 4\n[data]\nuse = 'moons'\ncount = 80\n[train]\niterations = 2\nbatch_size = 4\n"
        "[study]\nseeds = 1\nn = 30\nmeasures = ['recall']\n[[study.vary]]\n'sampler.steps' = [2, 3]\n"
        "'train.data_noise' = [0.1, 0.2]\n[study.features]\nuse = 'pixels'\n"
    )
    stdout, _ = invoked("study", "a", "--config", "k.toml", "-s", "train.iterations=1", "--seeds", "2", "--json", "-q")
    assert [(one["cell"], one["updates"]) for one in objects(stdout)[:-1]] == [
        *(("steps=2,data_noise=0.1,seed=0", 1), ("steps=3,data_noise=0.2,seed=0", 1)),
        *(("steps=2,data_noise=0.1,seed=1", 1), ("steps=3,data_noise=0.2,seed=1", 1)),
    ]
    assert invoked("study", "a", "--config", "k.toml", "-s", "train.iterations=1", "--seeds", "2", "-q")[0]


def test_a_preset_and_features_with_settings_are_used():
    invoked("study", "a", "--preset", "anatomy-gaussians", "-s", "sampler.steps=2,3", "--features", "pixels", "--list")
    study = Study("a")
    assert study.cells[0].recipe.sections["energy"]["width"] == 64
    assert study.plan.judging.features == "pixels"
    invoked("study", "b", *WORDS, "-s", "features.size=4", "--list")
    assert Study("b").plan.judging.settings == {"size": 4}


def test_more_seeds_can_be_added_later():
    stderr = invoked("study", "a", *WORDS, "--seeds", 1)[1]
    assert stderr.splitlines()[0] == "study     a: 2 cells, 2 settings x 1 seed"
    assert len(objects(invoked("study", "a", "--seeds", 2, "--json", "-q")[0])) == 2 + 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["new"], "new has no study.toml: say what varies, like -s sampler.steps=5,10"),
        (["new", "--table", "-s", "sampler.steps=2,3"], "the study has not begun"),
        (["new", "-s", "sampler.steps=2,3", "--table", "--list"], "--table and --list are two commands"),
        (["new", "-s", "sampler.steps=2,3", "--cell", "7"], "--cell must be from 1 to 6, not 7; --list prints them"),
        (["new", "-s", "sampler.steps=2,3", "--cell", "1", "--table"], "--cell works on one cell; leave out --table"),
        (["new", "-s", "sampler.steps=2,3", "--jobs", "0"], "jobs must be at least 1, not 0"),
        (["new", "-s", "sampler.steps=2,3", "--measures", "fid"], "unknown measure 'fid'"),
        (["new", "-s", "sampler.step=2,3"], "Did you mean 'steps'?"),
        (["new", "--preset", "nijkamp"], "unknown preset 'nijkamp'."),
    ],
)
def test_a_study_that_cannot_be_is_refused_in_one_line(words, message):
    assert message in refused("study", *words)


def test_another_grid_is_refused_with_the_difference():
    invoked("study", "a", *WORDS, "--list")
    other = [word.replace("sampler.steps=2,3", "sampler.steps=2,4") for word in WORDS]
    assert "this folder has another study: sampler.steps had 3 too (seeds and" in refused("study", "a", *other)


def test_cells_that_fail_give_exit_code_1_and_a_table():
    register("energy", "broken", lambda shape, *, width=4, depth=1: 1 / 0)
    words = [word.replace("energy.use=mlp", "energy.use=broken") for word in WORDS]
    stdout, stderr = invoked("study", "a", *words, code=1)
    assert stderr.count("ZeroDivisionError: division by zero") == 4
    assert stdout.count("2 failed") == 2


def test_a_killed_study_started_again_ends_with_the_same_table():
    words = [*WORDS, "-s", "watch.checkpoints.every=1", "-q"]
    slow = [word.replace("iterations=3", "iterations=60") for word in words]
    killed = process("a", *slow)
    deadline = time.monotonic() + 100
    cost = Path("a/cells/steps=3,seed=0/cost.jsonl")
    while not (cost.exists() and len(cost.read_text().splitlines()) > 5):
        assert time.monotonic() < deadline
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert [path.name for path in Path("a/claims").iterdir()] == ["steps=3,seed=0"]
    assert len(list(Path("a/results").iterdir())) == 1
    assert invoked("study", "a", "-q")[0] == "a/table.md\n"
    assert json.loads(Path("a/cells/steps=3,seed=0/env.json").read_text())["resumed"]
    invoked("study", "b", *slow)
    assert without_times(Study("a")) == without_times(Study("b"))
    assert list(Path("a/claims").iterdir()) == []


def test_two_processes_share_the_cells_of_one_study():
    processes = [process("a", *WORDS, "--json", "-q") for _ in range(2)]
    ended = [one.communicate() for one in processes]
    assert [one.returncode for one in processes] == [0, 0], ended
    cells = [line["cell"] for stdout, _ in ended for line in objects(stdout)[:-1]]
    assert sorted(cells) == sorted(cell.name for cell in Study("a").cells)
    invoked("study", "b", *WORDS, "-q")
    assert without_times(Study("a")) == without_times(Study("b"))


def test_jobs_are_processes_of_their_own():
    stdout, _ = invoked("study", "a", *WORDS, "--jobs", 2, "--json", "-q")
    assert sorted(line["cell"] for line in objects(stdout)[:-1]) == sorted(cell.name for cell in Study("a").cells)
    invoked("study", "b", *WORDS, "-q")
    assert without_times(Study("a")) == without_times(Study("b"))


def printing(*, count=80):
    """Points in the plane, with a line on stdout."""
    print("loading")
    return moons(count=count)


def test_what_a_part_prints_in_a_job_is_no_result(monkeypatch, capfd):
    invoked("study", "a", *WORDS, "--list")
    monkeypatch.setattr(worker, "stop_at_end_of_input", lambda: None)  # that of the tests is closed
    register("data", "moons_that_print", printing)
    file = Path("a/study.toml")
    file.write_text(file.read_text().replace('use = "moons"', 'use = "moons_that_print"'))
    capfd.readouterr()
    assert worker.main(Path("a")) == 0
    stdout, stderr = capfd.readouterr()
    assert [one["cell"] for one in objects(stdout)] == [cell.name for cell in Study("a").cells]
    assert "loading\n" in stderr


@pytest.mark.parametrize("words", [("--table",), ("--table", "--json"), ("--list",)])
def test_a_study_in_a_read_only_folder_is_shown(monkeypatch, words):
    invoked("study", "a", *WORDS, "--list")
    expected, _ = invoked("study", "a", *words)

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", read_only)
    stdout, stderr = invoked("study", "a", *words, code=0 if words == ("--list",) else 1)
    assert stdout == expected
    assert ("error: cannot write a/table.md: Read-only file system\n" in stderr) == (words != ("--list",))


def test_a_signal_stops_all_jobs_after_their_updates():
    slow = [word.replace("iterations=3", "iterations=100000") for word in WORDS]
    study = process("a", *slow, "--jobs", 2)
    deadline = time.monotonic() + 100
    while len(list(Path().glob("a/cells/*/cost.jsonl"))) < 2:
        assert time.monotonic() < deadline
        assert study.poll() is None, study.communicate()
        time.sleep(0.05)
    study.send_signal(signal.SIGINT)
    stdout, stderr = study.communicate(timeout=100)
    assert (study.returncode, stdout) == (130, ""), stderr
    assert stderr.splitlines()[-1] == "stopped; go on with: ebmkit study a"
    assert list(Path("a/claims").iterdir()) == []
    for cell in Path("a/cells").iterdir():
        last = json.loads((cell / "cost.jsonl").read_text().splitlines()[-1])
        assert read_checkpoint(cell).updates == last["update"]


def test_jobs_stop_when_the_study_is_killed():
    slow = [word.replace("iterations=3", "iterations=100000") for word in WORDS]
    study = process("a", *slow, "--jobs", 2)
    deadline = time.monotonic() + 100
    while len(list(Path().glob("a/cells/*/cost.jsonl"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    study.kill()
    study.communicate()
    while list(Path("a/claims").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
