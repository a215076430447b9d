"""The file `checkpoint.pt`: tensors and plain types, and nothing else is read."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import BASE, trained

import ebmkit
from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError
from ebmkit.registry.lookup import register
from ebmkit.runs.model import read_model
from ebmkit.runs.model_file import write_model_file
from ebmkit.runs.training import new_run, resume_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


def test_a_checkpoint_holds_tensors_and_plain_types(tmp_path):
    trained(tmp_path / "a", {"train.iterations": "2", "train.average": "0.9"})
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    assert state["format"] == 2
    assert state["shape"] == [1, 8, 8]
    assert state["config"] == (tmp_path / "a" / "config.toml").read_text()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("zipped", [True, False], ids=["torch", "pickle"])
def test_a_malicious_checkpoint_is_refused_and_not_executed(tmp_path, zipped):
    trained(tmp_path / "a", {"train.iterations": "1"})
    path, trap = tmp_path / "a" / "checkpoint.pt", tmp_path / "sprung"
    if zipped:
        torch.save({**torch.load(path, weights_only=True), "extra": Evil(trap)}, path)
    else:
        path.write_bytes(pickle.dumps({"format": 2, "extra": Evil(trap)}, protocol=2))
    with pytest.raises(UsageError, match=r"checkpoint\.pt cannot be read") as error:
        resume_run(tmp_path / "a")
    assert "\n" not in str(error.value)
    assert not trap.exists()
    torch.load(path, weights_only=False) if zipped else pickle.loads(path.read_bytes())
    assert trap.exists()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path, share):
    trained(tmp_path / "a", {"train.iterations": "1"})
    path = tmp_path / "a" / "checkpoint.pt"
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(UsageError, match=r"checkpoint\.pt cannot be read: truncated") as error:
        resume_run(tmp_path / "a")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [{"format": 1}, {"weights": torch.zeros(2)}, torch.zeros(2)])
def test_a_checkpoint_of_another_program_is_refused(tmp_path, content):
    trained(tmp_path / "a", {"train.iterations": "1"})
    torch.save(content, tmp_path / "a" / "checkpoint.pt")
    with pytest.raises(UsageError, match="not a checkpoint of this version"):
        resume_run(tmp_path / "a")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("config",), 3),
        (("shape",), None),
        (("data",), None),
        (("batch_rng",), "x"),
        (("trainer",), [1]),
        (("trainer", "index"), None),
        (("trainer", "energy"), None),
        (("trainer", "average"), None),
        (("trainer", "init"), None),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_a_field_of_another_type_is_refused_by_name(tmp_path, path, value):
    trained(tmp_path / "a", {"train.iterations": "1"})
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    *above, last = path
    for key in above:
        inner = state[key]
        inner[last] = value
    if not above:
        state[last] = value
    torch.save(state, tmp_path / "a" / "checkpoint.pt")
    for read in (resume_run, ebmkit.load):
        with pytest.raises(UsageError, match=rf"is incomplete: it has no usable {'.'.join(path)}$"):
            read(tmp_path / "a")


class Stateful(torch.nn.Module):
    """An energy with state besides its weights."""

    def __init__(self, shape, *, kind: str = "dict"):
        super().__init__()
        self.layer, self.kind, self.seen = torch.nn.Linear(torch.Size(shape).numel(), 1), kind, 0

    def forward(self, x):
        self.seen += 1
        return self.layer(x.flatten(1)).squeeze(1)

    def get_extra_state(self):
        return {"seen": self.seen} if self.kind == "dict" else torch.tensor(self.seen)

    def set_extra_state(self, state):
        self.seen = int(state["seen"] if self.kind == "dict" else state)


@pytest.mark.parametrize("kind", ["dict", "tensor"])
def test_an_energy_with_extra_state_is_resumed_and_loaded(tmp_path, kind):
    register("energy", "stateful", Stateful)
    layer = typed([*(f"{key}={value}" for key, value in BASE.items() if key != "energy.width"), f"energy.kind={kind}"])
    layer.sections["energy"]["use"] = typed(["energy.use=stateful"]).sections["energy"]["use"]
    list(new_run(resolve([layer, typed(["train.iterations=2"])]), tmp_path / "a").train())
    seen = resume_run(tmp_path / "a").trainer.energy.seen
    assert seen > 2
    saved = read_model(tmp_path / "a")
    if kind == "dict":
        with pytest.raises(
            UsageError, match=r"cannot export energy\._extra_state: a model file holds tensors, not dict"
        ):
            write_model_file(saved, "last", tmp_path / "a.safetensors")
        assert not (tmp_path / "a.safetensors").exists()
    else:
        write_model_file(saved, "last", tmp_path / "a.safetensors")
        assert read_model(tmp_path / "a.safetensors").states["last"]["energy"]["_extra_state"] == seen
        assert ebmkit.load(tmp_path / "a.safetensors").sample(2, torch.Generator()).shape == (2, 1, 8, 8)
