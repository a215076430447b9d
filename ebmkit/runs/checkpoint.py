"""The format of `checkpoint.pt` and `checkpoint-before.pt`, their only writer and their only reader."""

import io
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebmkit.errors import UsageError, one_line
from ebmkit.files import replacing, writing

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
        """Replace `checkpoint.pt` in the folder of a run; see `write_to`."""
        self.write_to(folder / NAME)

    def write_to(self, path: Path) -> None:
        """Replace the file at `path`, after the new file was read as `read_checkpoint` does.

        Raises:
            UsageError: naming what is neither a tensor nor a plain value; the last checkpoint is kept.
            Unwritten: if it cannot be written; the last checkpoint is kept.
        """
        state = {"format": FORMAT, **vars(self), "shape": list(self.shape)}
        with replacing(path) as new, writing(path):
            try:
                save(state, new)
                torch.load(new, map_location="cpu", weights_only=True, mmap=True)
            except OSError:
                raise
            except Exception:
                check_plain(state, "the checkpoint")
                raise

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
        if others := foreign_types(path):
            raise UsageError(
                f"{path} cannot be read: it contains {', '.join(others)}, but only tensors and plain values are "
                "loaded; a part must not return others from state_dict or get_extra_state"
            ) from None
        raise UsageError(
            f"{path} cannot be read: truncated, or no checkpoint of tensors ({one_line(error)[:200]})"
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
        wrong += [
            f"trainer.{name}" for name, kind in TRAINER.items() if not isinstance(state["trainer"].get(name), kind)
        ]
    if not wrong and not is_shape(state["shape"]):
        wrong.append("shape")
    if not wrong and not all(map(is_rollback, state.get("events", []))):
        wrong.append("events")
    if wrong:
        raise UsageError(f"{path} is incomplete: it has no usable {', '.join(wrong)}")
    fields = {name: state[name] for name in (*KINDS, *(name for name in ADDED if name in state))}
    return Checkpoint(**{**fields, "shape": tuple(fields["shape"])})


def is_shape(sizes: object) -> bool:
    """Whether this is a list of sizes, as the shape of an example is."""
    return isinstance(sizes, list) and all(type(size) is int and size > 0 for size in sizes)


def is_rollback(event: object) -> bool:
    """Whether this is an event as `ebmkit.runs.rollback` records it."""
    numbers = ("update", "to_update", "lr", "gradient_penalty")
    return isinstance(event, dict) and all(isinstance(event.get(name), int | float) for name in numbers)


def foreign_types(path: Path) -> list[str]:
    """The types in a file that are neither tensors nor plain values; empty for a file that torch did not write."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # torch raises many kinds for a broken file
        return []


def read_back(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A state as it is after it was saved and read.

    Raises:
        UsageError: naming what is neither a tensor nor a plain value; `name` says whose state it is.
    """
    try:
        return dict(_round_trip(state))
    except Exception:
        check_plain(state, name)
        raise


def check_plain(state: Any, name: str) -> None:
    """Refuse a state with a value that cannot be saved and read without executing code.

    Raises:
        UsageError: for the first such value; `name` says whose state it is.
    """
    for place, value in _unreadable(state, ""):
        raise UsageError(
            f"{name} cannot be saved and read again: {place.removeprefix('.')} is a {type(value).__module__}."
            f"{type(value).__qualname__}; use tensors, numbers, strings, lists and dicts"
        )


def _round_trip(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _unreadable(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The values inside that cannot be read after they were saved, each with its place."""
    if type(value) in (dict, OrderedDict):
        for key, part in value.items():
            yield from _unreadable(key, f"a key of {place or 'it'}")
            yield from _unreadable(part, f"{place}.{key}")
    elif type(value) in (list, tuple):
        for index, part in enumerate(value):
            yield from _unreadable(part, f"{place}[{index}]")
    else:
        try:
            _round_trip(value)
        except Exception:
            yield place, value
