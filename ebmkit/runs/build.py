"""The method of a recipe, built and seeded, and what its parts are checked for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator

from ebmkit.config.recipe import Recipe, naming
from ebmkit.data.examples import Examples
from ebmkit.errors import naming_failure
from ebmkit.methods.method import Method
from ebmkit.modes import random_state_restored, usual_defaults
from ebmkit.runs.parts import RecipeParts, take


class Seeds(NamedTuple):
    """The seeds of a run, drawn from the one that the user chose."""

    weights: int
    chains: int
    batches: int


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


def build_method(parts: RecipeParts, rng: Generator) -> Method:
    """The method of a recipe, with new parts and the weights of the seed; the global random state is restored.

    Raises:
        UsageError: for a setting out of range, or a part that is not of its kind or cannot be used.
    """
    recipe, train = parts.recipe, parts.recipe.train
    # What is made in inference mode has no gradients afterwards either.
    with (
        random_state_restored(torch.device("cpu")),
        usual_defaults(),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        torch.manual_seed(seeds_of(recipe).weights)
        facts = {"parts": parts, "shape": parts.shape, "data": parts.data, "rng": rng, "train": train}
        method = recipe.build("method", **facts)
        if "rng" not in vars(method):
            with naming("train", recipe.settings("train")):
                method.begin(
                    rng,
                    gradient_clip=train.gradient_clip,
                    clip_factor=train.clip_factor,
                    average=train.average,
                    schedule=train.schedule(train.lr_schedule),
                    processes=parts.processes,
                )
    return method


def check_starts(parts: RecipeParts, data: Examples) -> None:
    """Draw the starts of one batch of chains from an init distribution of their own, for each that was built.

    A replay buffer that is too small is thus refused before a run begins, and the buffer of the run is not changed.
    What the init of the run fits to the data is fitted once, for both.

    Raises:
        UsageError: if they cannot be drawn.
    """
    recipe = parts.recipe
    for section, init, facts in parts.built:
        if recipe.parts[section].kind != "init":
            continue
        trial = recipe.build(section, **{**facts, "data": data})
        with naming(section, recipe.settings(section)):
            if state := init.state_dict():
                with naming_failure(f"the state of {section} '{recipe.parts[section].name}' cannot be restored"):
                    trial.load_state_dict(state)
            trial.sample(recipe.train.part(parts.processes.size), Generator(parts.device))


def check_energies(parts: RecipeParts, examples: Examples) -> None:
    """Refuse an energy of examples that does not take those of the run.

    Raises:
        UsageError: in this case.
    """
    for section, part, facts in parts.built:
        if parts.recipe.parts[section].kind == "energy" and facts["shape"] == examples.shape:
            x = examples.fetch(torch.zeros(2, dtype=torch.long)).to(parts.device)
            take(part, parts.recipe, section, x)
