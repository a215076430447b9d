"""The parts of a recipe, built, seeded and placed on a device."""

from collections.abc import Callable
from functools import cache
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ebmkit.config.recipe import Recipe, naming
from ebmkit.config.settings import Lazy
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, one_line
from ebmkit.interfaces import InitDistribution, Sampler, energy_values, eval_mode
from ebmkit.runs.device import place_on

# Layers draw their weights from torch's global random state, which threads share.
SEEDING = RLock()


class Seeds(NamedTuple):
    """The seeds of a run, drawn from the one that the user chose."""

    weights: int
    chains: int
    batches: int


class Parts(NamedTuple):
    """What a model consists of."""

    energy: nn.Module
    sampler: Sampler
    init: InitDistribution


def seeds_of(recipe: Recipe, rollbacks: int = 0) -> Seeds:
    """The seeds of weights, chains and batches; others after each rollback."""
    entropy = [recipe.train.seed, rollbacks] if rollbacks else recipe.train.seed
    return Seeds(*(int(seed) for seed in np.random.SeedSequence(entropy).generate_state(3)))


def open_data(recipe: Recipe) -> Examples:
    """The examples of a recipe.

    Raises:
        UsageError: if they cannot be read.
    """
    return Examples(recipe.build("data"))


class DeferredExamples(Examples):
    """Examples that are opened at their first use: a part whose state is saved may never use them.

    Args:
        opened: Opens the examples.
    """

    def __init__(self, opened: Callable[[], Examples]) -> None:
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        """An attribute of the examples, which have none before they are opened."""
        if name.startswith("_"):  # copies and pickles look for methods that may not exist
            raise AttributeError(name)
        return getattr(self._opened(), name)


def build_parts(
    recipe: Recipe,
    shape: tuple[int, ...],
    data: Callable[[], Examples],
    device: torch.device,
    *,
    restored: bool = False,
) -> Parts:
    """Energy, sampler and init for examples of a shape.

    Args:
        recipe: The settings.
        shape: The shape of one example.
        data: Opens the examples; called at most once, and only if a part asks for them, as the init `data` does.
        device: Where the energy computes.
        restored: Whether a saved state of the init will be loaded: its examples are then opened only if they are used.

    Raises:
        UsageError: for a setting out of range, or a part that is not of its kind.
    """
    opened = cache(data)
    examples = Lazy(opened)
    with SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds_of(recipe).weights)
        energy = recipe.build("energy", shape=shape, data=examples)
    place_on(energy, device)
    sampler = recipe.build("sampler", shape=shape, data=examples)
    known = DeferredExamples(opened) if restored else examples
    return Parts(energy, sampler, recipe.build("init", shape=shape, data=known))


def first_starts(recipe: Recipe, init: InitDistribution, examples: Examples, device: torch.device) -> Tensor:
    """The starts of one batch of chains `(B, *shape)`, from an init distribution of their own.

    A replay buffer that is too small is thus refused before a run begins, and the buffer of the run is not changed.
    What the init of the run fits to the data is fitted once, for both.
    """
    trial = recipe.build("init", shape=examples.shape, data=examples)
    with naming("init", recipe.settings("init")):
        if state := init.state_dict():
            trial.load_state_dict(state)
        return trial.sample(recipe.train.batch_size, Generator(device))


def check_energy(energy: nn.Module, recipe: Recipe, examples: Examples) -> None:
    """Refuse an energy that has nothing to train, or that does not take these examples.

    Raises:
        UsageError: in both cases.
    """
    name = recipe.parts["energy"].name
    if not any(parameter.requires_grad for parameter in energy.parameters()):
        raise UsageError(f"energy '{name}' has no parameters to train; it is for samplers and tests")
    device = next(energy.parameters()).device
    try:
        with torch.no_grad(), eval_mode(energy):
            energy_values(energy, examples.fetch(torch.zeros(2, dtype=torch.long)).to(device))
    except (RuntimeError, ValueError, IndexError) as error:
        raise UsageError(
            f"energy '{name}' cannot take examples of shape {examples.shape}: {one_line(error)}"
        ) from error
