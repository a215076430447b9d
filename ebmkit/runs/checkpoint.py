"""The format of `checkpoint.pt` and `checkpoint-before.pt`, their only writer and their only reader."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebmkit.errors import UsageError, one_line
from ebmkit.files import replacing

FORMAT, NAME, BEFORE = 2, "checkpoint.pt", "checkpoint-before.pt"
# The types of the fields, and of those of the trainer's state that a model is read from.
KINDS = {"config": str, "shape": list, "device": str, "data": str, "batch_rng": Tensor, "trainer": dict}
TRAINER = {"index": int, "energy": dict, "average": dict, "init": dict}
ADDED = {"memory": dict, "events": list}  # absent in files of earlier versions


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run: tensors and plain types only, so that reading it executes nothing.

    Attributes:
        config: Every setting, as TOML.
        shape: The shape of one example.
        device: The type of the device that the random state of the chains belongs to.
        data: What identifies the data set; see `ebmkit.data.examples.Examples.fingerprint`.
        batch_rng: The random state of the batches.
        trainer: The state of the trainer; see `ebmkit.methods.Trainer.state_dict`.
        memory: What each watcher keeps, by its section: plain values.
        events: Each time that the run was rolled back, as in `metrics.jsonl`.
    """

    config: str
    shape: tuple[int, ...]
    device: str
    data: str
    batch_rng: Tensor
    trainer: Mapping[str, Any]
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Replace `checkpoint.pt` in the folder of a run."""
        self.write_to(folder / NAME)

    def write_to(self, path: Path) -> None:
        """Replace the file at `path`."""
        state = {"format": FORMAT, **vars(self), "shape": list(self.shape)}
        with replacing(path) as new:
            torch.save(state, new)

    @property
    def updates(self) -> int:
        """How many updates the run has made."""
        return int(self.trainer["index"])

    @property
    def weights(self) -> dict[str, Mapping[str, Tensor]]:
        """The weights of the energy by name: `last`, and `average` if the run keeps one."""
        average = {
            name.removeprefix("module."): value
            for name, value in self.trainer["average"].items()
            if name.startswith("module.")
        }
        return {"last": self.trainer["energy"], **({"average": average} if average else {})}


def read_checkpoint(folder: Path, name: str = NAME) -> Checkpoint:
    """Read the checkpoint of this name in the folder of a run; nothing in it is executed.

    Raises:
        UsageError: if there is none, or it is damaged, incomplete, or of another format.
    """
    path = folder / name
    if not path.is_file():
        raise UsageError(f"{folder} has no {name}: the run cannot be resumed, nor opened as a model")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken file
        raise UsageError(
            f"{path} cannot be read: truncated, or no checkpoint of tensors ({one_line(error)[:200]})"
        ) from None
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT:
        raise UsageError(
            f"{path} is not a checkpoint of this version of ebmkit: expected format {FORMAT}, found {found}"
        )
    wrong = [name for name, kind in KINDS.items() if not isinstance(state.get(name), kind)]
    wrong += [name for name, kind in ADDED.items() if not isinstance(state.get(name, kind()), kind)]
    if "trainer" not in wrong:
        wrong += [
            f"trainer.{name}" for name, kind in TRAINER.items() if not isinstance(state["trainer"].get(name), kind)
        ]
    if wrong:
        raise UsageError(f"{path} is incomplete: it has no usable {', '.join(wrong)}")
    fields = {name: state[name] for name in (*KINDS, *(name for name in ADDED if name in state))}
    return Checkpoint(**{**fields, "shape": tuple(fields["shape"])})
