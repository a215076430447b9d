"""What a report is about: a model, its data and its run, and what several sections need of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.evaluation.analysis import Along, energy_along
from ebmkit.evaluation.training_curves import history
from ebmkit.pictures import drawable
from ebmkit.shortrun import ShortRun

CLOUD = 64  # a cloud of points needs so many times the examples of a grid


@dataclass(frozen=True)
class Subject:
    """A model, its data and its run.

    Attributes:
        short: The model.
        examples: What it was trained on.
        held_out: What it was not trained on; the examples where there is nothing else.
        folder: The run's folder.
        device: Where the model is.
        scores: Measures by name, computed elsewhere.
        count: How many samples are drawn.
        chains: How many chains are shown in a row or a column.
        updates: How many updates reconstructions get.
        batch: How many chains run at once.
    """

    short: ShortRun
    examples: Examples
    held_out: Examples | None
    folder: Path
    device: torch.device
    scores: Mapping[str, float | str] = field(default_factory=dict)
    count: int = 64
    chains: int = 8
    updates: int = 200
    batch: int = 64

    def rng(self) -> Generator:
        """The report's own randomness, the same for every section: it changes nothing, and pages can be compared."""
        return Generator(self.device).manual_seed(0)

    @property
    def points(self) -> bool:
        """Whether examples are points in the plane."""
        return self.examples.shape == (2,)

    def shown(self, number: int) -> int:
        """How many examples to draw where `number` images would do."""
        return number * CLOUD if self.points else number

    def need_images(self, what: str) -> None:
        """Refuse examples that are no images, for a section that shows single ones.

        Raises:
            UsageError: saying what is not shown.
        """
        if self.points or not drawable(self.examples.shape):
            raise UsageError(f"{what} are shown for images of 1 or 3 channels; these examples are {self.shape}.")

    def need_pictures(self) -> None:
        """Refuse examples that cannot be drawn.

        Raises:
            UsageError: saying what can be.
        """
        if not drawable(self.examples.shape):
            raise UsageError(f"Images of 1 or 3 channels and points in the plane are drawn; these are {self.shape}.")

    @property
    def shape(self) -> str:
        """The shape of an example, for people."""
        return f"of shape {self.examples.shape}"

    @cached_property
    def samples(self) -> Tensor:
        """Samples of the model, `(n, *shape)`."""
        return self.short.sample(self.shown(self.count), self.rng(), batch=self.batch)

    @cached_property
    def real(self) -> Tensor:
        """As many examples, drawn at random."""
        return some(self.examples, self.shown(self.count))

    @cached_property
    def starts(self) -> Tensor:
        """As many starts of chains."""
        n, batch, rng = self.shown(self.count), self.batch, self.rng()
        return torch.cat([self.short.init.sample(min(batch, n - had), rng) for had in range(0, n, batch)])

    def trajectory(self, n: int, at: Sequence[int]) -> dict[int, Tensor]:
        """Where n chains are after each of the steps `at`, `(n, *shape)` each."""
        rng = self.rng()
        parts = [self.short.trajectory(min(self.batch, n - had), rng, at=at) for had in range(0, n, self.batch)]
        return {step: torch.cat([part[step] for part in parts]) for step in at}

    def long_run(self, n: int, times: int, every: int) -> Iterator[tuple[int, Tensor]]:
        """Each step of n chains of `times` times K steps that `every` divides, and where they are, `(n, *shape)`."""
        rng = self.rng()
        runs = [
            self.short.long_run(min(self.batch, n - had), rng, times=times, every=every)
            for had in range(0, n, self.batch)
        ]
        for points in zip(*runs, strict=True):
            yield points[0].step, torch.cat([point.x for point in points])

    @cached_property
    def along(self) -> Along:
        """The energy along the model's chains."""
        return energy_along(self.short, max(2, min(self.count, self.batch)), self.rng())

    @property
    def steps(self) -> int:
        """K, the length of the model's chain."""
        return len(self.along.mean) - 1

    @cached_property
    def past(self) -> dict[str, Tensor]:
        """The run's figures."""
        return history(self.folder)


def some(examples: Examples, n: int) -> Tensor:
    """`n` examples drawn at random, the same at each call."""
    return examples.fetch(torch.randint(len(examples), (n,), generator=Generator().manual_seed(0)))
