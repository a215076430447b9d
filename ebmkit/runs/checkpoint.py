"""The format of `checkpoint.pt` and of the earlier checkpoints of a run, their only writer and their only reader."""

import errno
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebmkit.errors import UsageError, one_line
from ebmkit.files import Unwritten, replacing, writing
from ebmkit.runs.plain_values import check_plain
from ebmkit.runs.stored import check_stored
from ebmkit.runs.usable import averages_in, is_rollback, is_shape, model_in, unusable

FORMAT, NAME, PREVIOUS, BEFORE = 2, "checkpoint.pt", "checkpoint-previous.pt", "checkpoint-before.pt"
FULL = (errno.ENOSPC, errno.EDQUOT)  # what a disk without room answers
# The types of the fields.
KINDS = {"config": str, "shape": list, "device": str, "data": str, "batch_rng": Tensor, "trainer": dict}
ADDED = {"memory": dict, "events": list}  # absent in files of earlier versions


class Damaged(UsageError):
    """A checkpoint is missing, or is not what was written."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run: tensors and plain types only, so that reading it executes nothing.

    Attributes:
        config: Every setting, as TOML.
        shape: The shape of one example.
        device: The type of the device that the random state of the chains belongs to.
        data: What identifies the data set; see `ebmkit.data.examples.Examples.fingerprint`.
        batch_rng: The random state of the batches.
        trainer: The state of the method; see `ebmkit.Method.state_dict`.
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
        """Replace `checkpoint.pt` in the folder of a run, and keep the last one as `checkpoint-previous.pt`.

        Raises:
            UsageError: as `write_to`.
            Unwritten: as `write_to`. On a full disk this is tried again without `checkpoint-previous.pt`, which is
                lost if that fails too.
        """
        path, previous = folder / NAME, folder / PREVIOUS
        try:
            self.write_to(path, previous)
        except Unwritten as error:
            if error.errno not in FULL or not path.is_file() or not is_single(previous):
                raise
            previous.unlink()
            self.write_to(path, previous)

    def write_to(self, path: Path, previous: Path | None = None) -> None:
        """Replace the file at `path`, after the new file was read as `read_checkpoint` does.

        Args:
            path: The file.
            previous: Where the file that is replaced is kept; None keeps it nowhere.

        Raises:
            UsageError: naming what is neither a tensor nor a plain value; the last checkpoint is kept.
            Unwritten: if it cannot be written; the last checkpoint is kept.
        """
        state = {"format": FORMAT, **vars(self), "shape": list(self.shape)}
        with replacing(path) as new, writing(path):
            try:
                save(state, new)
                check_sums(new)
                torch.load(new, map_location="cpu", weights_only=True, mmap=True)
            except OSError:
                raise
            except Exception:
                check_plain(state, "the checkpoint")
                raise
            if previous is not None and path.is_file():
                keep(path, previous)

    @property
    def updates(self) -> int:
        """How many updates the run has made."""
        return int(self.trainer["index"])

    @property
    def states(self) -> dict[str, dict[str, Mapping[str, Tensor]]]:
        """The states of the parts of the model by name, for each of its weights: `last`, and `average` if kept."""
        last = {name: self.trainer[name] for name in model_in(self.trainer)}
        averages = {
            part: {name.removeprefix("module."): value for name, value in state.items() if name.startswith("module.")}
            for part, state in averages_in(self.trainer).items()
        }
        return {"last": last, **({"average": {**last, **averages}} if averages else {})}


def is_single(path: Path) -> bool:
    """Whether there is a file at this path that has no other link, so that removing it makes room."""
    return path.is_file() and path.stat().st_nlink == 1


def keep(path: Path, previous: Path) -> None:
    """Keep the file at `path`, which is about to be replaced, as `previous`: no byte of it is written again."""
    try:
        with replacing(previous) as new:
            os.link(path, new)
    except OSError:  # a disk without hard links; until it is replaced, `path` is missing, and `previous` is read
        os.replace(path, previous)


def save(state: Mapping[str, Any], path: Path) -> None:
    """Write a state by `torch.save`, and wait until the disk has it, so that it also survives a loss of power.

    Raises:
        OSError: if it cannot be written. Torch raises a RuntimeError of its own, which does not say why.
    """
    checked = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)  # whatever the caller has set
    try:
        with path.open("wb") as file:  # torch's own files have errors without a reason
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:
        reason: BaseException | None = error
        while reason is not None and not isinstance(reason, OSError):
            reason = reason.__context__
        raise (reason or error) from None
    finally:
        torch.serialization.set_crc32_options(checked)


def read_checkpoint(folder: Path, name: str = NAME) -> Checkpoint:
    """Read the checkpoint of this name in the folder of a run; nothing in it is executed.

    Raises:
        Damaged: if there is none, or it is truncated, or a byte of it is not as it was written.
        UsageError: if it is incomplete, or of another format.
    """
    path = folder / name
    if not path.is_file():
        raise Damaged(f"{folder} has no {name}: the run cannot be resumed, nor opened as a model")
    try:
        check_stored(path)
        check_sums(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken file
        # A byte that is not as it was written may have changed the name of a type.
        if not isinstance(error, zipfile.BadZipFile) and (others := foreign_types(path)):
            raise UsageError(
                f"{path} cannot be read: it contains {', '.join(others)}, but only tensors and plain values are "
                "loaded; a part must not return others from state_dict or get_extra_state"
            ) from None
        raise Damaged(
            f"{path} cannot be read: truncated, damaged, or no checkpoint of tensors ({one_line(error)[:200]})"
        ) from None
    found = state.get("format") if isinstance(state, dict) else None
    if type(found) is not int or found != FORMAT:  # a tensor cannot be compared
        given = found if found is None or isinstance(found, int) else f"a {type(found).__name__}"
        raise UsageError(
            f"{path} is not a checkpoint of this version of ebmkit: expected format {FORMAT}, found {given}"
        )
    wrong = [name for name, kind in KINDS.items() if not isinstance(state.get(name), kind)]
    wrong += [name for name, kind in ADDED.items() if not isinstance(state.get(name, kind()), kind)]
    if "trainer" not in wrong:
        wrong += [f"trainer.{name}" for name in unusable(state["trainer"])]
    if not wrong and not is_shape(state["shape"]):
        wrong.append("shape")
    if not wrong and not all(map(is_rollback, state.get("events", []))):
        wrong.append("events")
    if wrong:
        raise UsageError(f"{path} is incomplete: it has no usable {', '.join(wrong)}")
    fields = {name: state[name] for name in (*KINDS, *(name for name in ADDED if name in state))}
    return Checkpoint(**{**fields, "shape": tuple(fields["shape"])})


def check_sums(path: Path) -> None:
    """Compare every part of a file of `torch.save` with its CRC-32, which the file stores and `torch.load` ignores.

    Raises:
        BadZipFile: naming the first part that differs. Other exceptions if the file is damaged in another way.
    """
    with zipfile.ZipFile(path) as parts:
        if (wrong := parts.testzip()) is not None:
            raise zipfile.BadZipFile(f"the checksum of {wrong} is wrong")


def foreign_types(path: Path) -> list[str]:
    """The types in a file that are neither tensors nor plain values; empty for a file that torch did not write."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # torch raises many kinds for a broken file
        return []
