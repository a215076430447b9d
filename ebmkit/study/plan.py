"""The plan of a study: what is the same in every cell, what varies, over how many seeds, and how cells are judged."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from ebmkit.config.conversion import NONE
from ebmkit.config.layers import Layer, Value, check_section, layer_of
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.config.tables import toml
from ebmkit.errors import UsageError

SEED = "train.seed"
# Cells run side by side, so each gets one thread; the same number everywhere gives the same bits everywhere.
BENEATH = {"train": {"threads": 1}}
LONGEST = 120  # characters in the name of a cell

Axis = Mapping[str, tuple[Any, ...]]
Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Judging:
    """How the model of a cell is judged: as `ebmkit evaluate` does, with seed 0.

    Attributes:
        features: The name of the features that are compared.
        settings: Their settings.
        n: The number of samples; None is half of the data, at most 5000.
    """

    features: str
    settings: Mapping[str, Any]
    n: int | None


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        name: Its name, made of what varies; also that of its folder in `cells/`.
        varied: The values of the settings that vary, by `section.key`.
        seed: Its `train.seed`.
        base: The settings that are the same in every cell.
    """

    name: str
    varied: Mapping[str, Any]
    seed: int
    base: Sections

    @cached_property
    def recipe(self) -> Recipe:
        """Every setting of the run.

        Raises:
            UsageError: for an unknown name, or a value of another type.
        """
        return resolve([layer_of(BENEATH, "study"), layer_of(self.base, "study"), self.layer])

    @property
    def layer(self) -> Layer:
        """What varies, as a layer of settings."""
        return layer_at({**self.varied, SEED: self.seed})


@dataclass(frozen=True)
class Plan:
    """What a study consists of.

    Attributes:
        base: The given settings that are the same in every cell.
        axes: What varies. The settings of one axis change together; axes multiply. Values are by `section.key`.
        seeds: How many seeds; the first is `train.seed` of `base`, or 0.
        judging: How the models are judged.
        measures: The measures in the table and the figure, by their short names.
    """

    base: Sections
    axes: tuple[Axis, ...]
    seeds: int
    judging: Judging
    measures: tuple[str, ...]

    @property
    def grid(self) -> list[dict[str, Any]]:
        """The values of what varies, by `section.key`, for every point of the grid; the last axis changes fastest."""
        return list(points(self.axes))

    @property
    def cells(self) -> list[Cell]:
        """Every cell: the whole grid with the first seed, then with the next, so that more seeds add to the end."""
        first = int(self.base.get("train", {}).get("seed", 0))
        labels = labels_of([path for axis in self.axes for path in axis])
        return [
            Cell(cell_name({labels[path]: value for path, value in point.items()}, seed), point, seed, self.base)
            for seed in range(first, first + self.seeds)
            for point in self.grid
        ]


def points(axes: tuple[Axis, ...]) -> Iterator[dict[str, Any]]:
    """The product of axes: one value for each path."""
    for indices in product(*(range(len(next(iter(axis.values())))) for axis in axes)):
        yield {path: values[i] for axis, i in zip(axes, indices, strict=True) for path, values in axis.items()}


def layer_at(values: Mapping[str, Any]) -> Layer:
    """A layer of values by `section.key`; one that is already a `Value` of a layer is put in as it is."""
    layer = Layer("study")
    for path, value in values.items():
        section, dot, key = path.rpartition(".")
        if not dot:
            raise UsageError(f"what varies is named section.key, like sampler.steps, not '{path}'")
        check_section(section, path)
        layer.put(section, key, value if isinstance(value, Value) else Value(value, path))
    return layer


def labels_of(paths: list[str]) -> dict[str, str]:
    """Short names of settings by `section.key`: the key, or the section of `use`; the path if two would be the same.

    >>> labels_of(["sampler.steps", "energy.use"])
    {'sampler.steps': 'steps', 'energy.use': 'energy'}
    """
    short = {path: path.rpartition(".")[0] if path.endswith(".use") else path.rpartition(".")[2] for path in paths}
    return {path: name if list(short.values()).count(name) == 1 else path for path, name in short.items()}


def written(value: Any) -> str:
    """A value as tables and names show it."""
    if value is None:
        return NONE
    return str(value) if isinstance(value, str | Path) else toml(value)


def cell_name(values: Mapping[str, Any], seed: int) -> str:
    """The name of a cell, as `steps=5,data_noise=0.15,seed=0`.

    Values with other characters than those of names of files get a few letters of their digest, so that two values
    never share a name.
    """
    name = ",".join([*(f"{label}={file_name(written(value))}" for label, value in values.items()), f"seed={seed}"])
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 20]}~{digest(name)},seed={seed}"


def file_name(text: str) -> str:
    """A text as part of the name of a file."""
    safe = re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip("_")[-40:]
    return safe if safe == text else f"{safe}~{digest(text)}"


def digest(text: str) -> str:
    """The first letters of the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6]
