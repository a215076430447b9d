"""What `ebmkit train` prints on stdout and on stderr."""

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from commands import SMALL, metrics, objects, process, result_of, same_run, train
from rich.console import Console

from ebmkit.cli import progress
from ebmkit.methods.update import Update
from ebmkit.registry.component import Plugin
from ebmkit.registry.lookup import get_registry

pytestmark = pytest.mark.usefixtures("empty_folder")

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def test_stdout_is_the_folder_and_stderr_is_the_rest():
    stdout, stderr = train(*SMALL, "--iterations", "3", "--out", "a/b", quiet=False)
    assert stdout == "a/b\n"
    assert not CONTROL.search(stdout + stderr)
    for part in (
        r"energy +convnet\(width=4, activation=leaky_relu, slope=0.2, spectral_norm=False\) · ebmkit \d",
        r"sampler +langevin\(steps=3, step_size=1.0, noise=0.01\) · ebmkit \d",
        r"init +uniform\(low=-1.0, high=1.0\) · ebmkit \d",
        r"data +digits\(fit=pad\) · ebmkit \d",
        r"optimizer +adam\(lr=0.001\) · ebmkit \d",
        r"examples +1797 of shape \(1, 8, 8\), 8 in a batch",
        r"device +cpu \(1 thread\), fp32, seed 0",
        r"work +K=3 chain steps x 3 updates",
        r"target +step_size=1.0 and noise=0.01 imply exp\(-E/T\) at temperature T=5e-05",
        r"folder +a/b",
        r"update=1/3 it_s=\S+ eta=\d+s gap=\S+ E_data=\S+ E_samples=\S+ gradient=\S+",
        r"update=3/3 it_s=\S+ eta=0s gap=",
    ):
        assert re.search(rf"^{part}", stderr, re.MULTILINE), part


def test_a_run_without_a_name_is_numbered():
    assert train(*SMALL, "--iterations", "1")[0] == "runs/convnet-langevin-uniform-001\n"
    assert train(*SMALL, "--iterations", "1")[0] == "runs/convnet-langevin-uniform-002\n"


def test_quiet_prints_only_the_folder():
    Path("a.toml").write_text('[sampler]\nuse = "hmc"\nleapfrog = 2\n')
    assert train(*SMALL, "--config", "a.toml", "--sampler", "langevin", "--iterations", "1", "--out", "a") == (
        "a\n",
        "",
    )


def test_settings_dropped_with_their_part_are_noted():
    Path("a.toml").write_text('[sampler]\nuse = "hmc"\nleapfrog = 2\n')
    _, stderr = train("--config", "a.toml", "--sampler", "langevin", "--print-config", quiet=False)
    assert stderr == "note: sampler is now 'langevin': dropped what was set for 'hmc' (leapfrog)\n"


def test_json_has_a_line_per_update_and_one_for_the_end():
    result = result_of("train", *SMALL, "--iterations", "3", "--out", "a", "--json")
    *updates, last = objects(result.stdout)
    assert last == {"schema": 2, "status": "done", "folder": "a"}
    assert [(line["schema"], line["update"]) for line in updates] == [(2, 1), (2, 2), (2, 3)]
    for line, kept in zip(updates, metrics("a"), strict=True):
        assert {key: line[key] for key in line if key != "schema"} == {key: kept[key] for key in kept if key in line}
        assert {"gap", "real_energy", "fake_energy", "end_gradient"} <= set(line)
    assert "K=3 chain steps" in result.stderr
    assert objects(train(*SMALL, "--iterations", "1", "--out", "b", "--json")[0])[-1]["folder"] == "b"


def test_plain_lines_come_at_both_ends_and_after_a_silence(monkeypatch):
    monkeypatch.setattr(progress, "SILENCE", 1e9)
    printed = re.findall(r"update=(\d+)/4", train(*SMALL, "--iterations", "4", "--out", "a", quiet=False)[1])
    assert printed == ["1", "4"]
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    printed = re.findall(r"update=(\d+)/4", train(*SMALL, "--iterations", "4", "--out", "b", quiet=False)[1])
    assert printed == ["1", "2", "3", "4"]
    assert progress.SILENCE < 30


def test_a_terminal_shows_a_bar(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "err", lambda: Console(file=screen, force_terminal=True, width=120))
    recipe = SimpleNamespace(train=SimpleNamespace(iterations=2))
    run: Any = SimpleNamespace(trainer=SimpleNamespace(index=0), recipe=recipe)
    one = torch.ones(2)
    updates = [Update(index, one.mean(), 3 * one, one, one, one.mean(), {}) for index in (1, 2)]
    assert list(progress.bar((one for one in updates), run)) == updates
    shown = screen.getvalue()
    for part in ("2/2", "it/s", "gap=+2.0000", "E_data=+3.000", "E_samples=+1.000"):
        assert part in shown
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert progress.shown(iter(updates), run, False, False).__name__ == ("lines" if sys.gettrace() else "bar")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert progress.shown(iter(updates), run, False, False).__name__ == "lines"


def test_broken_plug_ins_are_reported_unless_quiet():
    get_registry().plugins.append(Plugin("ebmkit-bad", "0.3", "bad = bad", "ImportError: no"))
    assert "ebmkit-bad 0.3: ImportError: no" in train(*SMALL, "--iterations", "1", "--out", "a", quiet=False)[1]
    assert train(*SMALL, "--iterations", "1", "--out", "b")[1] == ""


def test_a_process_keeps_stdout_and_stderr_apart():
    with process(*SMALL, "--iterations", "2", "--out", "a") as running:
        stdout, stderr = running.communicate(timeout=120)
    assert running.returncode == 0
    assert stdout == "a\n"
    assert "update=2/2" in stderr
    assert not CONTROL.search(stderr)
    train(*SMALL, "--iterations", "2", "--out", "b")
    assert same_run("a", "b")
