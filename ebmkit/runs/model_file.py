"""A model as one .safetensors file: its weights, the state of its init, and its settings as metadata."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import ebmkit
from ebmkit.errors import UsageError, one_line
from ebmkit.files import replacing
from ebmkit.runs.saved import SavedModel

FORMAT, SUFFIX = "1", ".safetensors"


def write_model_file(saved: SavedModel, weights: str, path: Path) -> None:
    """Write the model with the weights of this name to a file.

    Raises:
        UsageError: if its state contains what such a file cannot hold, or the file cannot be written.
    """
    parts = {"energy": saved.weights[weights], "init": saved.init}
    named = {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise UsageError(f"cannot export {name}: a model file holds tensors, not {type(value).__name__}")
    # Copied, since a file cannot hold tensors that share memory, and holds each in the order of its indices.
    tensors = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in named.items()}
    facts = {"ebmkit": ebmkit.__version__, "format": FORMAT, "config": saved.config, "shape": json.dumps(saved.shape)}
    try:
        with replacing(path) as new:
            save_file(tensors, new, metadata={**facts, "weights": weights, "updates": str(saved.updates)})
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"cannot export to {path}: {one_line(error)}") from error


def read_model_file(path: Path) -> SavedModel:
    """The model in a file that `write_model_file` wrote; nothing in it is executed.

    Raises:
        UsageError: if the file cannot be read, or is no model of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"cannot read {path} as a model: {one_line(error)}; name a run's folder, or a file of `ebmkit export`"
        ) from None
    if facts.get("format") != FORMAT:
        raise UsageError(f"{path} has no settings of an ebmkit model; write one with: ebmkit export RUN {path.name}")
    try:
        shape, updates = tuple(json.loads(facts["shape"])), int(facts["updates"])
        config, weights = facts["config"], facts["weights"]
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"the metadata of {path} is damaged: {type(error).__name__}: {one_line(error)}") from None
    energy, init = (
        {name.partition(".")[2]: value for name, value in tensors.items() if name.startswith(f"{part}.")}
        for part in ("energy", "init")
    )
    return SavedModel(path, config, shape, updates, {weights: energy}, init)
