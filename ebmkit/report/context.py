"""What the sections of a report share: a model, its data, its run, and what is computed from them once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.evaluation.energy import EnergyAlong, energy_along
from ebmkit.evaluation.training_curves import read_metrics
from ebmkit.pictures import drawable, drawn_count
from ebmkit.shortrun import ShortRun
from ebmkit.trajectories import Point


@dataclass(frozen=True)
class ReportContext:
    """A model, its data and its run.

    Attributes:
        short: The model.
        examples: The examples it was trained on.
        held_out: Examples it was not trained on; None if there are none.
        folder: The folder of the run.
        device: The device of the model.
        scores: Measures by name, computed elsewhere.
        count: How many samples are drawn; of points in the plane, 64 times this many.
        chains: How many chains are shown in a row or a column.
        updates: The number of updates of each reconstruction.
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
        """A new generator with the same seed for every section, so that reports are reproducible."""
        return Generator(self.device).manual_seed(0)

    @property
    def points(self) -> bool:
        """Whether examples are points in the plane."""
        return self.examples.shape == (2,)

    def shown(self, images: int) -> int:
        """How many examples to draw in place of `images` images."""
        return drawn_count(self.examples.shape, images)

    def need_images(self, what: str) -> None:
        """Refuse examples that are not images, for a section that shows them one by one.

        Raises:
            UsageError: naming what is not shown.
        """
        if self.points or not drawable(self.examples.shape):
            raise UsageError(f"{what} are shown for images of 1 or 3 channels; these examples are {self.shape}.")

    def need_pictures(self) -> None:
        """Refuse examples that cannot be drawn.

        Raises:
            UsageError: naming what can be drawn.
        """
        if not drawable(self.examples.shape):
            raise UsageError(
                f"Only images of 1 or 3 channels and points in the plane can be drawn; these examples are {self.shape}."
            )

    @property
    def shape(self) -> str:
        """The shape of an example, as text."""
        return f"of shape {self.examples.shape}"

    @cached_property
    def samples(self) -> Tensor:
        """Samples of the model, `(n, *shape)`."""
        return self.short.sample(self.shown(self.count), self.rng(), batch=self.batch)

    @cached_property
    def real(self) -> Tensor:
        """As many random examples."""
        return random_examples(self.examples, self.shown(self.count))

    @cached_property
    def starts(self) -> Tensor:
        """As many starts of chains."""
        return self.short.starts(self.shown(self.count), self.rng(), batch=self.batch)

    def trajectory(self, n: int, at: Sequence[int]) -> dict[int, Tensor]:
        """Where n chains are after each of the steps `at`, `(n, *shape)` each."""
        return self.short.trajectory(n, self.rng(), at=at, batch=self.batch)

    def long_run(self, n: int, times: int, every: int) -> Iterator[Point]:
        """Every N-th step of n chains of `times` times K steps."""
        return self.short.long_run(n, self.rng(), times=times, every=every, batch=self.batch)

    @cached_property
    def along(self) -> EnergyAlong:
        """The energy along the chains of the model."""
        return energy_along(self.short, max(2, min(self.count, self.batch)), self.rng())

    @property
    def steps(self) -> int:
        """K, the number of steps of a chain of the model."""
        return len(self.along.mean) - 1

    @cached_property
    def metrics(self) -> dict[str, Tensor]:
        """The values that the run wrote at its updates."""
        return read_metrics(self.folder)


def random_examples(examples: Examples, n: int) -> Tensor:
    """`n` random examples `(n, *shape)`, the same at each call."""
    return examples.fetch(torch.randint(len(examples), (n,), generator=Generator().manual_seed(0)))
