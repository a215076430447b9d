"""A model as one .safetensors file: the states of its parts, and its settings as metadata."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

import ebmkit
from ebmkit.errors import UsageError, one_line
from ebmkit.files import Unwritten, json_of, replacing
from ebmkit.runs.saved import WEIGHTS, SavedModel, bytes_of
from ebmkit.runs.usable import is_shape

FORMAT, SUFFIX, SUM = "1", ".safetensors", "sha256"
FACTS = {"ebmkit", "format", "config", "shape", "weights", "updates"}  # the names of the metadata, besides the checksum


def safetensors() -> ModuleType:
    """The package safetensors.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        import safetensors.torch
    except ImportError:
        raise UsageError("model files need the package safetensors; write: pip install safetensors") from None
    return safetensors


def write_model_file(saved: SavedModel, weights: str, path: Path) -> None:
    """Write the model with the weights of this name to a file.

    Raises:
        UsageError: if safetensors is not installed, or the state of the model cannot be written to such a file.
        Unwritten: if the disk is full, or there is another error of the system.
    """
    format_of = safetensors()
    named = {f"{part}.{name}": value for part, state in saved.states[weights].items() for name, value in state.items()}
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise UsageError(f"cannot export {name}: a model file holds tensors, not {type(value).__name__}")
    # Copied, since a file cannot hold tensors that share memory, and holds each in the order of its indices.
    tensors = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in named.items()}
    facts = {"ebmkit": ebmkit.__version__, "format": FORMAT, "config": saved.config, "shape": json.dumps(saved.shape)}
    facts |= {"weights": weights, "updates": str(saved.updates)}
    try:
        with replacing(path) as new:
            format_of.torch.save_file(tensors, new, {**facts, SUM: checksum(tensors, facts)})
    except (format_of.SafetensorError, ValueError, KeyError) as error:
        if found := re.search(r"\(os error (\d+)\)", str(error)):  # the number is all that it keeps of an OSError
            raise Unwritten(int(found[1]), os.strerror(int(found[1])), str(path)) from error
        raise UsageError(f"cannot export to {path}: {one_line(error)}") from error


def read_model_file(path: Path) -> SavedModel:
    """The model in a file that `write_model_file` wrote; nothing in it is executed.

    Raises:
        UsageError: if safetensors is not installed, or the file is not such a model, or a byte of it is not as it was
            written. Files of earlier versions have no checksum.
    """
    format_of = safetensors()
    try:
        with format_of.safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (format_of.SafetensorError, OSError) as error:
        raise UsageError(
            f"cannot read {path} as a model: {one_line(error)}; name a run's folder, or a file of `ebmkit export`"
        ) from None
    if "format" not in facts:
        raise UsageError(f"{path} has no settings of an ebmkit model; write one with: ebmkit export RUN {path.name}")
    if facts["format"] != FORMAT:
        raise UsageError(
            f"{path} is not a model of this version of ebmkit: expected format {FORMAT}, not {facts['format']}"
        )
    others = {key: text for key, text in facts.items() if key != SUM}
    # In a file without a checksum, a name that is not known may be that of the checksum, damaged.
    whole = checksum(tensors, others) == facts[SUM] if SUM in facts else others.keys() <= FACTS
    if not whole:
        raise UsageError(
            f"{path} is damaged: its checksum is wrong; write it again with: ebmkit export RUN {path.name}"
        )
    try:
        shape, updates, weights = shape_in(facts["shape"]), int(facts["updates"]), facts["weights"]
        config = facts["config"]
        if weights not in WEIGHTS:
            raise ValueError(f"weights are {' or '.join(WEIGHTS)}, not '{weights}'")
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"the metadata of {path} is damaged: {type(error).__name__}: {one_line(error)}") from None
    states: dict[str, dict[str, Tensor]] = {}
    for place, value in tensors.items():
        part, _, name = place.partition(".")
        states.setdefault(part, {})[name] = value
    return SavedModel(path, config, shape, updates, {weights: states})


def checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """The SHA-256 of everything that a model file holds, in hexadecimal digits."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        found.update(bytes_of(value))
    return found.hexdigest()


def shape_in(text: str) -> tuple[int, ...]:
    """The shape that JSON gives.

    Raises:
        ValueError: if it is not a list of sizes.
    """
    sizes = json_of(text)
    if not is_shape(sizes):
        raise ValueError(f"a shape is a list of sizes, not {text}")
    return tuple(sizes)
