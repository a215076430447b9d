"""What a run will do, tried once before anything is written, on parts that are thrown away."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.precision import arithmetic
from ebmkit.config.recipe import Recipe
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, kind_and_message, naming_failure
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, State, energy_values, eval_mode, value_and_grad
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.method import Method
from ebmkit.methods.penalties import refuse_detached_gradients
from ebmkit.modes import random_state_restored, training_mode
from ebmkit.runs.build import build_method
from ebmkit.runs.facts import asked, facts_of
from ebmkit.runs.parts import RecipeParts, named
from ebmkit.runs.reading_back import check_read_back

DISTINCT = 8  # examples that are read for the trial; a batch repeats them


class FirstStep(Sampler):
    """The first step of a sampler's chain."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler, self.steps = sampler, sampler.steps

    def with_steps(self, steps: int) -> Self:
        """The first step of a longer or shorter chain."""
        return type(self)(self.sampler.with_steps(steps))

    def __getattr__(self, name: str) -> Any:
        """An attribute of the sampler, like its state."""
        return getattr(object.__getattribute__(self, "sampler"), name)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after the first step."""
        return islice(self.sampler.chain(energy, x, rng), 1)


def try_out(recipe: Recipe, examples: Examples, device: torch.device, method: Method, size: int) -> None:
    """Make one update of each phase with chains of one step, save and read back; the run's own parts are not used.

    The global random states are restored.

    Args:
        recipe: The settings of the run.
        examples: The data.
        device: Where to compute.
        method: That of the run; what its inits fitted to the data is not fitted again.
        size: How many examples, and chains, an update has in this process.

    Raises:
        UsageError: for the first of these that cannot be done; it names the part.
    """
    with random_states_restored(device), torch.inference_mode(False), torch.enable_grad(), arithmetic("fp32", device):
        trial, parts = _method(recipe, examples, device)
        for name, init in _inits(method).items():
            if fitted := init.state_dict():
                with naming_failure(f"the state of {named(recipe, name)} cannot be restored"):
                    _inits(trial)[name].load_state_dict(fitted)
        indices = torch.arange(size) % DISTINCT
        x = examples.fetch(torch.arange(min(size, DISTINCT)))[indices].to(device)
        if isinstance(trial, Trainer) and type(trial).update is Trainer.update:
            _try_trainer(recipe, trial, x)
        else:
            facts = facts_of(asked(trial), examples, indices, device)
            with naming_failure(f"method '{recipe.parts['method'].name}' cannot make an update with these parts"):
                for made in trial.phases:
                    trial.index = made
                    trial.update(x, **facts)
        restored, others = _method(recipe, examples, device)
        check_read_back(recipe, trial, restored)
        for (section, one, given), (_, other, _) in zip(parts.built, others.built, strict=True):
            if recipe.parts[section].kind == "energy" and given["shape"] == examples.shape:
                _check_values(named(recipe, section), one, other, x)


def _inits(method: Method) -> dict[str, InitDistribution]:
    """The init distributions of a method, by the names of their attributes."""
    return {name: one for name, one in method.stateful.items() if isinstance(one, InitDistribution)}


def _try_trainer(recipe: Recipe, trial: Trainer, x: Tensor) -> None:
    """One update of a `Trainer`, part by part, so that an error names the part."""
    name, sampler = (recipe.parts[section].name for section in ("energy", "sampler"))
    with naming_failure(f"energy '{name}' gives no value and gradient in evaluation mode, which chains need"):
        value_and_grad(trial.energy, x)
    with naming_failure(f"sampler '{sampler}' cannot make a step with energy '{name}'"):
        fake, chain = trial.chains(len(x))
    remedy = "to train without it: -s train.gradient_penalty=0"
    if recipe.train.on_divergence == "rollback" and not trial.gradient_penalty:
        trial.gradient_penalty, remedy = 1.0, "as a rollback would: -s train.on_divergence=stop"
    with training_mode(trial.energy):
        _train_once(name, trial, x, fake, chain, remedy)


def _train_once(name: str, trial: Trainer, x: Tensor, fake: Tensor, chain: dict[str, Tensor], remedy: str) -> None:
    """One update of the weights, and what the gradient penalty needs of the energy.

    Raises:
        UsageError: if it cannot be made; with the remedy if only the penalty is in the way.
    """
    weight, size = trial.gradient_penalty, len(x)
    try:
        trial.follow_gradient(x, fake, chain)
        if weight:
            refuse_detached_gradients(trial.energy, x)
    except Exception as error:  # energies of third parties raise many kinds
        trial.gradient_penalty = 0.0
        with naming_failure(f"energy '{name}' cannot be trained with train.batch_size={size}"):
            if not weight:
                raise
            trial.follow_gradient(x, fake, chain)
        raise UsageError(
            f"energy '{name}' cannot be trained with train.gradient_penalty={weight:g}, which differentiates it twice; "
            f"{remedy} ({kind_and_message(error)})"
        ) from error


def _method(recipe: Recipe, examples: Examples, device: torch.device) -> tuple[Method, RecipeParts]:
    """A method of new parts, as a resumed run builds them, with chains of one step; and the parts."""
    parts = RecipeParts(recipe, examples.shape, lambda: examples, device, wrap=FirstStep)
    return build_method(parts, Generator(device).manual_seed(0)), parts


def _check_values(name: str, energy: nn.Module, restored: nn.Module, x: Tensor) -> None:
    """Refuse an energy whose values depend on more than its saved state; draws in evaluation mode are the same in both.

    Raises:
        UsageError: if the restored energy has other values, beyond rounding.
    """
    found = []
    for one in (energy, restored):
        torch.manual_seed(0)
        with torch.no_grad(), eval_mode(one):
            found.append(energy_values(one, x).double())
    scale = torch.finfo(torch.float32).eps ** 0.5 * float(found[0].abs().max().nan_to_num())
    if bool(((found[0] - found[1]).abs() > scale).any()):
        raise UsageError(
            f"{name} has other values after its state was saved and restored; register what they depend on "
            "as parameters or buffers, or return it from get_extra_state"
        )


@contextmanager
def random_states_restored(device: torch.device) -> Iterator[None]:
    """Restore the global random states of torch, numpy and Python after the block."""
    with random_state_restored(device):
        numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
