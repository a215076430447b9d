"""A model as a checkpoint or a model file holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ebmkit.config.layers import Layer, loads

WEIGHTS = ("average", "last")


def bytes_of(value: Tensor) -> bytes:
    """The bytes of a tensor, in the order of its indices."""
    return bytes(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A model as it was saved: tensors and plain values; its parts are found by their registered names.

    Attributes:
        source: The folder of the run, or the file.
        config: Every setting of the run, as TOML.
        shape: The shape of one example.
        updates: How many updates the run had made.
        states: The state of each part of the model by name, of networks and inits, for each of its weights: `last`,
            `average`, or both.
    """

    source: Path
    config: str
    shape: tuple[int, ...]
    updates: int
    states: Mapping[str, Mapping[str, Mapping[str, Tensor]]]

    @cached_property
    def layer(self) -> Layer:
        """The settings as a layer.

        Raises:
            UsageError: if they are not TOML, or not of sections.
        """
        return loads(self.config, f"the configuration in {self.source}")
