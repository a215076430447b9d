"""`ebmkit export`."""

import builtins
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import invoked, refused

import ebmkit
from ebmkit.runs.training import resume_run

pytestmark = pytest.mark.usefixtures("models")


def test_exported_weights_are_those_of_the_run():
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    from safetensors import safe_open
    from safetensors.torch import load_file

    run = resume_run("digits")
    assert run.trainer.averaged is not None
    for weights, network in {"auto": run.trainer.averaged.module, "last": run.trainer.energy}.items():
        assert (
            invoked("export", "digits", f"{weights}.safetensors", "--weights", weights)[0] == f"{weights}.safetensors\n"
        )
        found = load_file(f"{weights}.safetensors")
        expected = {f"energy.{name}": value for name, value in network.state_dict().items()}
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    with safe_open("auto.safetensors", "pt") as file:
        facts = file.metadata()
    assert facts["ebmkit"] == ebmkit.__version__
    assert tomllib.loads(facts["config"]) == tomllib.loads(Path("digits/config.toml").read_text())
    assert (json.loads(facts["shape"]), facts["weights"], facts["updates"]) == ([1, 8, 8], "average", "3")
    invoked("export", "last", "last-run.safetensors")
    with safe_open("last-run.safetensors", "pt") as file:
        assert file.metadata()["weights"] == "last"


def test_export_without_safetensors_names_the_package(monkeypatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "write: pip install safetensors" in refused("export", "digits", "a.safetensors")
