"""The format of `checkpoint.pt`, its only writer and its only reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebmkit.errors import UsageError, one_line
from ebmkit.files import replacing, writing

FORMAT, NAME = 2, "checkpoint.pt"
# The types of the fields, and of those of the trainer's state that a model is read from.
KINDS = {"config": str, "shape": list, "device": str, "data": str, "batch_rng": Tensor, "trainer": dict}
TRAINER = {"index": int, "energy": dict, "average": dict, "init": dict}


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
    """

    config: str
    shape: tuple[int, ...]
    device: str
    data: str
    batch_rng: Tensor
    trainer: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Replace `checkpoint.pt` in the folder of a run.

        Raises:
            Unwritten: if it cannot be written; the last checkpoint is kept.
        """
        state = {"format": FORMAT, **vars(self), "shape": list(self.shape)}
        with replacing(folder / NAME) as new, writing(folder / NAME):
            save(state, new)

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


def save(state: Mapping[str, Any], path: Path) -> None:
    """Write a state by `torch.save`.

    Raises:
        OSError: if it cannot be written. Torch raises a RuntimeError of its own, which does not say why.
    """
    try:
        with path.open("wb") as file:  # torch's own files have errors without a reason
            torch.save(state, file)
    except RuntimeError as error:
        reason: BaseException | None = error
        while reason is not None and not isinstance(reason, OSError):
            reason = reason.__context__
        raise (reason or error) from None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint in the folder of a run; nothing in it is executed.

    Raises:
        UsageError: if there is none, or it is damaged, incomplete, or of another format.
    """
    path = folder / NAME
    if not path.is_file():
        raise UsageError(f"{folder} has no {NAME}: the run cannot be resumed, nor opened as a model")
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
    if "trainer" not in wrong:
        wrong += [
            f"trainer.{name}" for name, kind in TRAINER.items() if not isinstance(state["trainer"].get(name), kind)
        ]
    if wrong:
        raise UsageError(f"{path} is incomplete: it has no usable {', '.join(wrong)}")
    fields = {name: state[name] for name in KINDS}
    return Checkpoint(**{**fields, "shape": tuple(fields["shape"])})
