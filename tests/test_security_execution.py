"""Nothing that is read is executed, and only parts that are installed are found by the names in what is read."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from commands import invoked, refused, train
from hub_data import library_with_cache
from image_data import write
from safetensors.torch import save_file
from studies import small
from training_runs import trained

import ebmkit
from ebmkit.data import arrays, folder, hub
from ebmkit.errors import UsageError
from ebmkit.registry.lookup import register
from ebmkit.report import figures
from ebmkit.runs.training import resume_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_postscript_in_a_picture_is_not_given_to_ghostscript(tmp_path, monkeypatch):
    trap, programs, pictures = tmp_path / "sprung", tmp_path / "bin", tmp_path / "pictures"
    programs.mkdir()
    pictures.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch '{trap}'\nexit 1\n")
    (programs / "gs").chmod(0o755)
    (pictures / "a.png").write_bytes(EPS)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UsageError, match=r"a\.png: not an image of a known format"):
        folder(path=pictures)
    assert not trap.exists()


def test_the_environment_cannot_have_a_checkpoint_executed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trained(tmp_path / "a", {"train.iterations": "1"})
    path, trap = tmp_path / "a" / "checkpoint.pt", tmp_path / "sprung"
    torch.save({**torch.load(path, weights_only=True), "extra": Evil(trap)}, path)
    with pytest.raises(UsageError, match="cannot be read"):
        resume_run(tmp_path / "a")
    assert not trap.exists()


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_objects_in_an_array_are_not_unpickled(tmp_path, name):
    path, trap = tmp_path / name, tmp_path / "sprung"
    values = np.array([Evil(trap), None])
    np.savez(path, x=values) if name == "a.npz" else np.save(path, values)
    with pytest.raises(UsageError, match="cannot read") as error:
        arrays(path=path)
    assert "\n" not in str(error.value)
    assert not trap.exists()


@pytest.mark.parametrize("use", ["os:system", "ebmkit.energies.mlp:MLP", "torch.nn:Linear", "../mlp", "evil_module:E"])
@pytest.mark.parametrize("part", ["energy", "sampler", "init"])
def test_a_model_file_names_parts_and_imports_nothing(empty_folder, monkeypatch, part, use):
    Path("evil_module.py").write_text("open('sprung', 'w')\n")
    monkeypatch.syspath_prepend(".")
    config = f'[{part}]\nuse = "{use}"\n'
    facts = {"ebmkit": "0", "format": "1", "config": config, "shape": "[2]", "weights": "last", "updates": "1"}
    save_file({"energy.x": torch.zeros(1)}, "a.safetensors", facts)
    assert f"unknown {part} '{use}'" in refused("sample", "a.safetensors")
    assert not Path("sprung").exists()


def test_a_name_of_a_part_cannot_be_a_path():
    for name in ("../../x", "a/b", "a\\b", "..", ".hidden", "a\x1b[2J", "a\n", ""):
        with pytest.raises(UsageError, match="is not a name"):
            register("energy", name, "os:system")


def test_workers_of_a_study_do_not_import_from_the_current_folder(empty_folder):
    list(small("a", seeds=1, vary={"sampler.steps": [2]}).run())  # so that the workers have nothing to do
    Path("json.py").write_text("open('sprung', 'w')\nraise SystemExit(3)\n")
    code = "from ebmkit.study.folder import Study; print(list(Study('a').run(jobs=2)))"
    place = str(Path(ebmkit.__file__).parents[1])
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": place},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr
    assert not Path("sprung").exists()


def test_settings_of_matplotlib_do_not_have_texts_set_by_latex(monkeypatch):
    with matplotlib.rc_context({"text.usetex": True, "text.latex.preamble": r"\input{/etc/passwd}"}):
        drawn = figures.curves(torch.arange(3), {"a": torch.ones(3)}, title=r"$\alpha and a_b")
    assert r"$\alpha and a_b" in drawn


def test_the_help_says_that_torchscript_is_a_program():
    assert "a TorchScript file is a program" in invoked("show", "features", "torchscript")[0]


def test_a_script_beside_the_pictures_of_a_data_set_is_not_executed(tmp_path, monkeypatch):
    library_with_cache(tmp_path / "cache", monkeypatch)
    trap, place = tmp_path / "sprung", tmp_path / "pets"
    write(place / "train" / "a.png", np.zeros((8, 8), np.uint8))
    (place / "pets.py").write_text(f"open({str(trap)!r}, 'w')\n")
    with suppress(UsageError):
        hub(id=place)
    assert not trap.exists()


def test_opening_a_model_touches_nothing_that_its_settings_name(empty_folder):
    np.save("rows.npy", np.random.default_rng(0).uniform(-1, 1, (20, 5)).astype(np.float32))
    train("--energy", "mlp", "--data", "arrays", "-s", "data.path=rows.npy", *SHORT, "--out", "a")
    invoked("export", "a", "a.safetensors")
    code = OPENED.format(forbidden=str(Path("rows.npy").resolve()))
    environment = {**os.environ, "EBMKIT_PLUGINS": "none"}
    for place in ("a", "a.safetensors"):
        ended = subprocess.run(
            [sys.executable, "-c", code, place], env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout) == []


SHORT = ("--iterations", "1", "--steps", "2", "--batch-size", "4", "--device", "cpu", "--samples-every", "0")
# Draws a sample, and prints what was opened of what the settings name, what was started, and what was connected to.
OPENED = """
import json, os, sys
import torch
import ebmkit
seen = []
def look(event, given):
    if event == "open" and isinstance(given[0], (str, bytes, os.PathLike)):
        if os.path.abspath(os.fsdecode(given[0])) == {forbidden!r}:
            seen.append(str(given[0]))
    elif event in ("subprocess.Popen", "os.system", "os.exec", "socket.connect", "urllib.Request", "pickle.find_class"):
        seen.append(event)
sys.addaudithook(look)
short = ebmkit.load(sys.argv[1])
short.sample(2, torch.Generator().manual_seed(0))
print(json.dumps(seen))
"""
