"""A method of a third party in under 60 lines, trained from the command line: its chains start from a generator."""

import json
from pathlib import Path

import numpy as np
import torch
from commands import invoked
from cooperative_learning import CooperativeLearning

from ebmkit.runs.model import load
from ebmkit.runs.training import new_run
from ebmkit.testing import conforms

HERE = Path(__file__).parent
HOOK = "from ebmkit import hookimpl\n\n@hookimpl\ndef methods():\n    return {names}\n"


@conforms("method", CooperativeLearning, latent=3)
def test_it_conforms(check):
    check()


def test_it_is_short():
    assert len((HERE / "cooperative_learning.py").read_text(encoding="utf-8").splitlines()) < 60


def test_it_is_trained_and_drawn_from_on_the_command_line(install, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EBMKIT_PLUGINS", "cooperation")
    install("cooperation", HOOK.format(names={"cooperative": "cooperative_learning:CooperativeLearning"}))
    chain = ["-s", "sampler.step_size=0.01", "-s", "sampler.noise=0.05", "-s", "watch.pictures.every=0"]
    words = ["--method", "cooperative", "--data", "gaussians", "--energy", "mlp", "--steps", "10", *chain, "-q"]
    invoked("train", *words, "--iterations", "80", "--out", "a")
    lines = [json.loads(line) for line in Path("a/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 80
    starts = load("a").starts(200, torch.Generator().manual_seed(0))
    assert float(starts.std(0).min()) > 0.3  # of the data 0.7, of the untrained generator below 0.1
    assert lines[-1]["regression"] > 0
    invoked("sample", "a", "-n", "50", "--out", "x.npy")
    assert np.load("x.npy").shape == (50, 2)
    invoked("evaluate", "a", "-n", "50")
    invoked("export", "a", "a.safetensors")
    one, other = (load(place).sample(5, torch.Generator().manual_seed(1)) for place in ("a", "a.safetensors"))
    assert torch.equal(one, other)


def test_chains_start_from_the_generator(registered):
    registered("method", "cooperative", CooperativeLearning)
    run = new_run({"method": {"use": "cooperative"}, "energy": {"use": "mlp"}, "data": {"use": "gaussians"}})
    for weight in run.trainer.generator.parameters():
        weight.data.zero_()
    assert run.trainer.short_run().starts(4, torch.Generator().manual_seed(0)).abs().max() == 0
