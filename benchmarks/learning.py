"""What contenders that train share: the task, what a contender is, starts and batches."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.choice import Asked
from ebmkit.config import layers
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.data.examples import Examples
from ebmkit.energies.convnet import ConvNet
from ebmkit.runs.build import build_method
from ebmkit.runs.parts import RecipeParts

PAPER = "nijkamp2019-cifar10"  # the preset of the paper's recipe
DRAWN = 100  # chains that run at once when samples are drawn


class Stateful(Protocol):
    """What can be saved and restored."""

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state: Any) -> Any: ...


@dataclass(frozen=True)
class Task:
    """What all contenders of a race share.

    Attributes:
        data: The settings of the data, as in `[data]`.
        examples: The data.
        images: The same as one tensor `(N, *shape)` in [-1, 1].
        width: The width of the network, the paper's n_f.
        threads: Threads of the CPU.
        seconds: How long each contender trains.
        preset: The preset of ebmkit's own entry; None for its default settings.
        clock: What measures the training of each contender, in seconds.
    """

    data: Mapping[str, Any]
    examples: Examples
    images: Tensor
    width: int
    threads: int
    seconds: float
    preset: str | None
    clock: Callable[[], float] = time.perf_counter

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return self.examples.shape

    def recipe(self, preset: str | None, seed: int, **train: Any) -> Recipe:
        """A recipe of ebmkit for these data and this network; `train` are further settings of the loop."""
        given = {
            "data": self.data,
            "energy": {"use": "convnet", "width": self.width},
            "train": {"seed": seed, "threads": self.threads, "device": "cpu", **train},
        }
        below = [layers.preset(preset)] if preset else []
        return resolve([*below, layers.layer_of(given, "the race")])

    def paper(self, seed: int, precision: Asked = "fp32") -> Recipe:
        """The paper's recipe."""
        return self.recipe(PAPER, seed, precision=precision)

    def network(self, seed: int) -> ConvNet:
        """The network with the initial weights of this seed, which are those of ebmkit's runs."""
        parts = RecipeParts(self.paper(seed), self.shape, lambda: self.examples, torch.device("cpu"))
        initial = build_method(parts, torch.Generator()).networks["energy"]
        energy = ConvNet(self.shape, width=self.width)
        energy.load_state_dict(initial.state_dict())
        return energy


@dataclass
class Learner:
    """A contender: what it does in an update, and how it draws.

    What it draws from the global random state is its own: the race gives each contender a state of its own.

    Attributes:
        recipe: Its recipe in words.
        energy: The network that it trains.
        update: Makes one update of the weights; False if its recipe has come to its end.
        sample: `sample(n)` returns n samples `(n, *shape)`; all randomness is from the global state.
        start: `start(n)` returns n starts of the chains that it draws samples with.
        parts: What must be saved so that it can be resumed.
        generators: The generators that must be saved too.
    """

    recipe: str
    energy: nn.Module
    update: Callable[[], bool]
    sample: Callable[[int], Tensor]
    start: Callable[[int], Tensor]
    parts: Mapping[str, Stateful]
    generators: Mapping[str, Generator] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Everything that its next update depends on, except the global random state."""
        return {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "generators": {name: rng.get_state() for name, rng in self.generators.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        for name, rng in self.generators.items():
            rng.set_state(state["generators"][name])


Make = Callable[[Task, int, Path], Learner]  # from the task, the seed and the folder of the contender


def uniform(n: int, shape: tuple[int, ...]) -> Tensor:
    """The paper's starts: uniform noise in [-1, 1], `(n, *shape)`."""
    return torch.rand(n, *shape) * 2 - 1


def in_chunks(draw: Callable[[Tensor], Tensor], start: Callable[[int], Tensor], n: int) -> Tensor:
    """Samples `(n, *shape)` from chains of which at most DRAWN run at once."""
    return torch.cat([draw(start(min(DRAWN, n - drawn))) for drawn in range(0, n, DRAWN)])


def real_batches(images: Tensor, batch: int, noise: float, rng: Generator) -> Tensor:
    """A batch `(batch, *shape)` of images drawn with replacement, with new noise."""
    real = images[torch.randint(len(images), (batch,), generator=rng)]
    return real + noise * torch.randn(real.shape, generator=rng)
