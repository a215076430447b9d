"""Runs from the command line: training, resuming, drawing, judging and exporting, on points."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from ebmkit import load
from ebmkit.cli.main import app

NETWORK = ("network.use=level-dense", "network.width=8", "network.embedding=4", "data.count=40", "sampler.steps=2")
OTHERS = ("train.batch_size=8", "train.threads=1", "train.device=cpu", "watch.pictures.every=2", "method.levels=3")
SMALL = ("--method", "recovery-likelihood", "--data", "gaussians", *(f"-s{one}" for one in (*NETWORK, *OTHERS)))


def command(*words: str | Path) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 4 updates."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    command("train", *SMALL, "--iterations", 4, "--out", folder)
    return folder


def test_a_run_writes_pictures_and_the_scalars_of_each_update(run: Path):
    assert {path.name for path in (run / "chains").iterdir()} == {"000002.png", "000004.png"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [1, 2, 3, 4]
    assert all(line["gap"] == pytest.approx(line["loss"], abs=1e-5) for line in lines)


def test_a_resumed_run_is_that_without_the_stop(run: Path, tmp_path: Path):
    command("train", *SMALL, "--iterations", 2, "--out", tmp_path / "b")
    command("train", "--resume", tmp_path / "b", "--iterations", 4)
    one, other = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (run, tmp_path / "b"))
    assert str(one["trainer"]) == str(other["trainer"])


def test_the_average_is_what_is_drawn(run: Path):
    average, last = (load(run, weights=weights) for weights in ("average", "last"))
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load(run).energy(x), average.energy(x))
    assert not torch.equal(average.energy(x), last.energy(x))


def test_samples_of_the_exported_file_are_those_of_the_run(run: Path, tmp_path: Path):
    command("export", run, tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors")
    for place, name in ((run, "a.npy"), (tmp_path / "model.safetensors", "b.npy")):
        command("sample", place, "-n", 5, "--steps", 9, "--out", tmp_path / name)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_judging_and_drawing_commands_work(run: Path, tmp_path: Path):
    copy = shutil.copytree(run, tmp_path / "a")
    assert "Energy distance" in command("evaluate", copy, "-n", 20)
    command("interpolate", copy, "--rows", 5, "--out", tmp_path / "i.png")
    assert "step=18" in command("long-run", copy, "-n", 4, "--times", 3, "--out", tmp_path / "l.png")


def test_reconstruction_is_one_line(run: Path):
    done = CliRunner().invoke(app, ["reconstruct", str(run)])
    assert done.exit_code == 2
    assert done.output.strip().splitlines()[-1].startswith("error: a walk down noise levels forgets its start")


def test_a_network_that_knows_no_levels_is_refused_in_one_line(tmp_path: Path):
    words = ["train", "--method", "recovery-likelihood", "-s", "network.use=dense", "--out", str(tmp_path / "c")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    line = done.output.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert "choose level-resnet or level-dense: -s network.use=level-dense" in line
    assert not (tmp_path / "c").exists()
