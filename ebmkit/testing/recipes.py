"""Methods under test, built as a run builds them: with the parts of their roles, and chains of one step."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit.config.layers import layer_of
from ebmkit.config.resolution import resolve
from ebmkit.data.examples import Examples
from ebmkit.methods.method import Method
from ebmkit.methods.update import Update
from ebmkit.registry.component import SESSION, Component
from ebmkit.runs.build import build_method
from ebmkit.runs.facts import asked, facts_of
from ebmkit.runs.parts import RecipeParts
from ebmkit.runs.trial import FirstStep

BATCH = 6  # examples of an update
CLASSES = 2  # of the labels of the data
TRAIN = {"batch_size": BATCH, "threads": 1, "device": "cpu", "lr_schedule": "constant"}


class LabelledNoise:
    """A small data set of uniform noise in [-1, 1], with a class for each example."""

    def __init__(self, shape: tuple[int, ...], count: int = 64) -> None:
        self.x = torch.rand(count, *shape, generator=Generator().manual_seed(0)) * 2 - 1
        self.labels = np.arange(count) % CLASSES

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Tensor:
        return self.x[index]


class Trained:
    """A method under test with its data, which makes updates as a run does.

    Args:
        target: The method: a class or partial.
        settings: Its settings.
        shape: The shape of an example.
        training: Whether it is to be trained, or opened to draw from.
        average: Decay of moving averages; None keeps none.

    Attributes:
        method: The method, new.
        parts: What built its parts.
        examples: The data.
    """

    def __init__(
        self,
        target: Callable[..., Any],
        settings: Mapping[str, Any],
        shape: tuple[int, ...],
        *,
        training: bool = True,
        average: float | None = None,
    ) -> None:
        component = Component("method", getattr(target, "__name__", "method"), target, SESSION)
        train = {**TRAIN, "average": average}  # also where the method has a default of its own
        recipe = resolve([layer_of({"method": dict(settings), "train": train}, "settings")], method=component)
        self.examples = Examples(LabelledNoise(shape))
        saved: dict[str, Any] | None = None if training else {}
        self.parts = RecipeParts(
            recipe,
            shape,
            lambda: self.examples,
            torch.device("cpu"),
            saved=saved,
            training=training,
            wrap=FirstStep,
        )
        self.method: Method = build_method(self.parts, Generator().manual_seed(1))

    def batch(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The examples of the next update, and the facts about them that it asks for."""
        indices = (torch.arange(BATCH) + self.method.index) % len(self.examples)
        return self.examples.fetch(indices), facts_of(asked(self.method), self.examples, indices, torch.device("cpu"))

    def updates(self, count: int) -> list[Update]:
        """The next updates."""
        found = []
        for _ in range(count):
            x, facts = self.batch()
            found.append(self.method.update(x, **facts))
        return found

    def drawn(self) -> Tensor:
        """Samples of the model as it is now, with a fixed seed."""
        return self.method.short_run().sample(3, Generator().manual_seed(2))
