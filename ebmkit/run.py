"""A recipe becomes a run: every part built, the pipe of watchers laid. The one place where everything meets."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ebmkit import folder as run_folder
from ebmkit.acceleration.choice import Choice
from ebmkit.acceleration.precision import arithmetic
from ebmkit.building import build, check_energy, check_finite, wrapped
from ebmkit.components import BUILT_IN
from ebmkit.config import Layer, loads
from ebmkit.data.examples import Examples, batches
from ebmkit.errors import UsageError
from ebmkit.guard import guarded
from ebmkit.loop import Train
from ebmkit.machine import pick_device, place_on, settle, threads_for
from ebmkit.resolve import Recipe, resolve
from ebmkit.training import Step, Trainer


@dataclass
class Run:
    """A run that is ready: its parts built, nothing written yet.

    Attributes:
        recipe: What it was built from.
        train: The settings of the loop.
        trainer: The energy, its sampler, init and optimiser.
        examples: The data.
        batch_rng: Randomness of the batches, on the CPU whatever the device.
        folder: Where it will write.
        choice: How chains pass through the network, with the reason.
    """

    recipe: Recipe
    train: Train
    trainer: Trainer
    examples: Examples
    batch_rng: Generator
    folder: Path
    choice: Choice

    def state_dict(self) -> dict[str, Any]:
        """What `checkpoint.pt` holds: everything to go on, tensors and plain types only."""
        return {
            "format": 1,
            "config": self.recipe.toml(),
            "shape": list(self.examples.shape),
            "device": self.trainer.rng.device.type,
            "batch_rng": self.batch_rng.get_state(),
            "trainer": self.trainer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave; on another kind of device the chains' randomness starts anew.

        Raises:
            UsageError: if the examples have another shape now.
        """
        if tuple(state["shape"]) != self.examples.shape:
            shape = tuple(state["shape"])
            raise UsageError(f"the checkpoint is of examples {shape}, the data now has {self.examples.shape}")
        self.batch_rng.set_state(state["batch_rng"])
        trainer = dict(state["trainer"])
        if state["device"] != self.trainer.rng.device.type:
            trainer["rng"] = self.trainer.rng.get_state()
        self.trainer.load_state_dict(trainer)

    @property
    def threads(self) -> int:
        """How many threads of the CPU to use: the setting, or a number by the size of the energy."""
        return threads_for(self.trainer.energy, self.train)

    def updates(self) -> Iterator[Step]:
        """The rest of the updates, bare."""
        factor = self.train.schedule(self.train.noise_schedule)
        real = batches(
            self.examples,
            self.train.batch_size,
            self.batch_rng,
            noise=lambda index: self.train.data_noise * factor(index),
            device=self.trainer.rng.device,
            start=self.trainer.index,
        )
        yield from islice(map(self.update, real), self.train.iterations - self.trainer.index)

    def update(self, batch: Tensor) -> Step:
        """One update; the weights' own passes are in fp32, whatever the chains' precision."""
        with arithmetic("fp32", batch.device):
            return self.trainer.step(batch)

    def steps(self, warn: Callable[[str], None]) -> Iterator[Step]:
        """The rest of the updates, watched. Whoever leaves early closes the watchers, and so the checkpoint is saved.

        Args:
            warn: Told when a third party's watcher raised and was switched off.

        Raises:
            UsageError: at the call, for a watcher whose settings are out of range.
        """
        with ExitStack() as stack:
            steps = stack.enter_context(closing(self.updates()))  # type: ignore[type-var]
            for section in self.recipe.sections:
                if section.startswith("watch."):
                    steps = stack.enter_context(closing(self.watched(section, steps, warn)))  # type: ignore[type-var]
            pipe = stack.pop_all()

        def watched() -> Iterator[Step]:
            with pipe:
                yield from steps

        return watched()

    def watched(self, section: str, steps: Iterator[Step], warn: Callable[[str], None]) -> Iterator[Step]:
        """`steps` seen by one watcher; a third party's cannot break the run."""
        component = self.recipe.parts[section]
        facts = {
            "trainer": self.trainer,
            "folder": self.folder,
            "examples": self.examples,
            "iterations": self.train.iterations,
            "config": self.recipe.sections,
            "state": self.state_dict,
        }

        def watcher(steps: Iterator[Step]) -> Iterator[Step]:
            built: Iterator[Step] = build(component, section, facts | {"steps": steps}, self.recipe)
            return built

        if component.plugin is BUILT_IN:
            return watcher(steps)
        return guarded(
            watcher, steps, lambda reason: warn(f"watcher '{component.name}' of {component.plugin}: {reason}")
        )


def prepare(recipe: Recipe, folder: Path | None) -> Run:
    """Build every part of a recipe; nothing is written.

    Raises:
        UsageError: for settings out of range, data that cannot be read, an energy that cannot take the data, a device
            that is not there, or a folder that exists.
    """
    train: Train = wrapped("train", recipe.settings("train"), lambda: Train(**recipe.settings("train")))
    device = pick_device(train.device)
    if folder is not None:
        run_folder.refuse_existing(folder)
    examples = Examples(build(recipe.parts["data"], "data", {}, recipe))
    if train.batch_size > len(examples):
        raise UsageError(f"train.batch_size={train.batch_size} is more than the data has: {len(examples)} examples")
    facts = {"shape": examples.shape, "data": examples}
    weight_seed, chain_seed, batch_seed = (int(s) for s in np.random.SeedSequence(train.seed).generate_state(3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weight_seed)
        energy: nn.Module = build(recipe.parts["energy"], "energy", facts, recipe)
    check_energy(energy, recipe.parts["energy"], examples)
    place_on(energy, device)
    sampler = build(recipe.parts["sampler"], "sampler", facts, recipe)
    init = build(recipe.parts["init"], "init", facts, recipe)
    # A trial on another instance: a bank that is too small is refused now, and the one in use stays untouched.
    trial = build(recipe.parts["init"], "init", facts, recipe)
    start = wrapped("init", recipe.settings("init"), lambda: trial.sample(train.batch_size, Generator(device)))
    choice = settle(recipe, train, energy, sampler, start)
    check_finite("optimizer", recipe.settings("optimizer"))
    optimizer = build(recipe.parts["optimizer"], "optimizer", {"params": list(energy.parameters())}, recipe)
    trainer: Trainer = wrapped(
        "train",
        recipe.settings("train"),
        lambda: Trainer(
            energy,
            sampler,
            init,
            optimizer,
            Generator(device).manual_seed(chain_seed),
            energy_l2=train.energy_l2,
            gradient_clip=train.gradient_clip,
            average=train.average,
            schedule=train.schedule(train.lr_schedule),
            accelerate=choice.accelerated(energy).refreshed,
        ),
    )
    place = folder or run_folder.fresh(recipe)
    return Run(recipe, train, trainer, examples, Generator().manual_seed(batch_seed), place, choice)


def check_settings(recipe: Recipe) -> None:
    """Check what can be checked of a recipe without its data: the loop's settings, the sampler's, the optimiser's.

    Raises:
        UsageError: for a setting out of range.
    """
    wrapped("train", recipe.settings("train"), lambda: Train(**recipe.settings("train")))
    build(recipe.parts["sampler"], "sampler", {}, recipe)
    check_finite("optimizer", recipe.settings("optimizer"))


def reopen(place: Path, changes: Layer | None = None) -> Run:
    """The run in a folder as its checkpoint left it, ready to go on or to draw samples from.

    Args:
        place: The run's folder.
        changes: Settings that may differ from the run's own: `train.iterations`, `.device`, `.threads` and watchers.

    Raises:
        UsageError: if the folder is no run, its checkpoint cannot be read, or other settings differ; all are listed.
    """
    base, state = run_folder.saved(place), run_folder.checkpoint(place)
    recipe = resolve([base, changes] if changes else [base])
    file = place / "checkpoint.pt"
    if not isinstance(state.get("config"), str):
        raise UsageError(f"{file} is not whole: it has no configuration")
    run_folder.check_same(resolve([loads(state["config"], str(file))]), recipe)
    run = prepare(recipe, None)
    run.folder = place
    try:
        run.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{file} does not fit the run's parts: {type(error).__name__}: {reason}") from error
    return run
