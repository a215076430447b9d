"""The parts of a recipe, built, seeded and placed on a device."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.copying import tensors, unsized
from ebmkit.config.recipe import Recipe, naming
from ebmkit.config.settings import Lazy
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, kind_and_message, naming_failure, one_line
from ebmkit.interfaces import InitDistribution, Sampler, energy_values, eval_mode
from ebmkit.modes import duplicated, random_state_restored, usual_defaults
from ebmkit.runs.device import place_on

# The weights and buffers of the energies that were built, by `id`.
_built = WeakValueDictionary[int, Tensor]()


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


def seeds_of(recipe: Recipe, rollbacks: int = 0, rank: int = 0) -> Seeds:
    """The seeds of weights, chains and batches; others after each rollback. That of the chains depends on the rank."""
    entropy = [recipe.train.seed, rollbacks] if rollbacks else recipe.train.seed
    seeds = Seeds(*(int(seed) for seed in np.random.SeedSequence(entropy).generate_state(3)))
    return seeds._replace(chains=later_seed(entropy, rank)) if rank else seeds


def later_seed(entropy: int | Sequence[int], rank: int) -> int:
    """A seed of the chains of a process, independent of those of other ranks and of other entropies."""
    return int(np.random.SeedSequence(entropy, spawn_key=(rank,)).generate_state(1)[0])


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
    # What is made in inference mode has no gradients afterwards either.
    with (
        random_state_restored(torch.device("cpu")),
        usual_defaults(),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        torch.manual_seed(seeds_of(recipe).weights)
        energy = _own(recipe.build("energy", shape=shape, data=examples), recipe)
        if unsized(energy):
            _give_sizes(energy, recipe, shape)
    place_on(energy, device)
    sampler = recipe.build("sampler", shape=shape, data=examples)
    known = DeferredExamples(opened) if restored else examples
    return Parts(energy, sampler, recipe.build("init", shape=shape, data=known))


def first_starts(recipe: Recipe, init: InitDistribution, examples: Examples, device: torch.device, n: int) -> Tensor:
    """The starts of the `n` chains of an update `(n, *shape)`, from an init distribution of their own.

    A replay buffer that is too small is thus refused before a run begins, and the buffer of the run is not changed.
    What the init of the run fits to the data is fitted once, for both.
    """
    trial = recipe.build("init", shape=examples.shape, data=examples)
    with naming("init", recipe.settings("init")):
        if state := init.state_dict():
            with naming_failure(f"the state of init '{recipe.parts['init'].name}' cannot be restored"):
                trial.load_state_dict(state)
        return trial.sample(n, Generator(device))


def _own(energy: nn.Module, recipe: Recipe) -> nn.Module:
    """The energy, or a copy if it shares weights with one that was built before: a factory may return one object.

    Raises:
        UsageError: if it cannot be copied.
    """
    if any(_built.get(id(one)) is one for one in tensors(energy)):
        try:
            energy = duplicated(energy)
        except Exception as error:
            raise UsageError(
                f"energy '{recipe.parts['energy'].name}' returned weights that another run has, and cannot be copied: "
                f"{kind_and_message(error)}; build new ones at each call"
            ) from error
    _built.update((id(one), one) for one in tensors(energy))
    return energy


def _give_sizes(energy: nn.Module, recipe: Recipe, shape: tuple[int, ...]) -> None:
    """Lazy layers get their sizes in a first pass, and their weights from the seed of the run.

    Raises:
        UsageError: if the energy cannot take examples of this shape, or layers have no sizes afterwards.
    """
    name = recipe.parts["energy"].name
    _take(energy, recipe, torch.zeros(2, *shape))
    if unsized(energy):
        raise UsageError(f"energy '{name}' has lazy layers that its forward does not use: remove them")


def check_energy(energy: nn.Module, recipe: Recipe, examples: Examples) -> None:
    """Refuse an energy that has nothing to train, or that does not take these examples.

    Raises:
        UsageError: in both cases.
    """
    name = recipe.parts["energy"].name
    if not any(parameter.requires_grad for parameter in energy.parameters()):
        raise UsageError(f"energy '{name}' has no parameters to train; it is for samplers and tests")
    device = next(energy.parameters()).device
    _take(energy, recipe, examples.fetch(torch.zeros(2, dtype=torch.long)).to(device))


def _take(energy: nn.Module, recipe: Recipe, x: Tensor) -> None:
    """Evaluate the energy of `x` `(B, *shape)` in evaluation mode.

    Raises:
        UsageError: if that raises.
    """
    try:
        with torch.no_grad(), eval_mode(energy):
            energy_values(energy, x)
    except Exception as error:  # energies of third parties raise many kinds
        raise UsageError(
            f"energy '{recipe.parts['energy'].name}' cannot take examples of shape {tuple(x.shape[1:])}: "
            f"{one_line(error)[:200]}"
        ) from error
