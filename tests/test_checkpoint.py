"""The file `checkpoint.pt`: tensors and plain types, and nothing else is read."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import trained

from ebmkit.errors import UsageError
from ebmkit.runs.training import resume_run

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
