"""The trainer of a run, from its parts and the settings of its loop."""

from collections.abc import Callable

from torch import Generator, nn

from ebmkit.config.recipe import Recipe, naming
from ebmkit.interfaces import EnergyFn
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.processes import Processes
from ebmkit.runs.build import Parts


def build_trainer(
    recipe: Recipe,
    parts: Parts,
    shape: tuple[int, ...],
    rng: Generator,
    accelerate: Callable[[nn.Module], EnergyFn] | None = None,
    processes: Processes | None = None,
) -> Trainer:
    """The trainer of these parts, with a new optimiser.

    Args:
        recipe: The settings.
        parts: Energy, sampler and init.
        shape: The shape of one example.
        rng: Randomness of the starts and the chains.
        accelerate: Returns the energy for the chains of one update.
        processes: Those that make each update together.

    Raises:
        UsageError: for a setting out of range.
    """
    train = recipe.train
    optimizer = recipe.build("optimizer", params=list(parts.energy.parameters()))
    with naming("train", recipe.settings("train")):
        return Trainer(
            *parts,
            optimizer,
            rng,
            energy_l2=train.energy_l2,
            gradient_penalty=train.penalty(shape),
            gradient_clip=train.gradient_clip,
            clip_factor=train.clip_factor,
            steps=train.steps(parts.sampler.steps),
            average=train.average,
            schedule=train.schedule(train.lr_schedule),
            accelerate=accelerate,
            processes=processes,
        )
