"""The progress of commands that run chains, and what their help costs."""

import json
import subprocess
import sys

import pytest
import torch
from commands import invoked, rng, terminal

from ebmkit.cli import opening, reconstruction
from ebmkit.cli.options import CHOICES
from ebmkit.evaluation import energies
from ebmkit.runs.model import load

pytestmark = pytest.mark.usefixtures("models")


def test_a_short_wait_prints_nothing():
    assert invoked("sample", "digits", "-n", "2", "--out", "a.npy")[1] == ""


def test_a_long_wait_prints_plain_lines(monkeypatch):
    monkeypatch.setattr(opening, "SILENCE", 0.0)
    _, stderr = invoked("sample", "digits", "-n", "5", "--batch", "2", "--out", "a.npy")
    assert [line.split()[0] for line in stderr.splitlines()] == [f"passes={count}/9" for count in range(1, 10)]


@pytest.mark.parametrize(
    ("words", "total"),
    [
        (("reconstruct", "digits", "-n", "2", "--updates", "4"), 15),
        (("interpolate", "digits", "--columns", "4"), 12),
        (("long-run", "digits", "--times", "5"), 15),
    ],
)
def test_the_passes_of_every_command_are_counted(words, total, monkeypatch):
    monkeypatch.setattr(opening, "SILENCE", 0.0)
    lines = [line for line in invoked(*words)[1].splitlines() if line.startswith("passes=")]
    assert lines[-1].startswith(f"passes={total}/{total} ")


def test_a_long_wait_in_a_terminal_shows_a_bar(monkeypatch):
    monkeypatch.setattr(opening, "PATIENCE", 0.0)
    written = terminal(monkeypatch, color_system="truecolor", width=80)
    stdout, _ = invoked("long-run", "digits", "-n", "2", "--times", "2", "--json")
    assert "passes through the energy" in written.getvalue()
    assert [json.loads(line).get("step") for line in stdout.splitlines()] == [0, 3, 6, None]


def test_counting_passes_changes_no_results():
    short = load("digits")
    with opening.followed(short, 1) as followed:
        assert followed.translates
        assert torch.equal(followed.sample(3, rng()), short.sample(3, rng()))
        x = short.init.sample(2, rng())
        assert torch.equal(followed.energy(x), energies(short.energy, x))


def test_the_choices_of_an_option_are_completed():
    for name, words in CHOICES.items():
        complete = reconstruction.choice(name, "").autocompletion
        assert complete("") == list(words)
        assert complete(words[-1][:2]) == [words[-1]]


def test_help_does_not_import_torch():
    code = (
        "import sys, typer\n"
        "from typer.testing import CliRunner\n"
        "from ebmkit.cli import exporting, reconstruction, sampling\n"
        "for command in (sampling.sample, sampling.interpolate, sampling.long_run, exporting.export,"
        " reconstruction.reconstruct):\n"
        "    app = typer.Typer(rich_markup_mode=None)\n"
        "    app.command()(command)\n"
        "    result = CliRunner().invoke(app, ['--help'])\n"
        "    assert result.exit_code == 0 and 'RUN' in result.stdout, result.stdout\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
