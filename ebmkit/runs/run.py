"""A run: its parts, its updates, and its life from the first update to the last."""

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any, Literal, cast

import torch
from torch import Tensor

from ebmkit.acceleration.choice import Choice
from ebmkit.acceleration.precision import arithmetic
from ebmkit.config.recipe import Recipe
from ebmkit.data.examples import Examples, batches
from ebmkit.errors import Diverged, Interrupted, Notice, UsageError, one_line
from ebmkit.files import Unwritten
from ebmkit.methods.maximum_likelihood import Trainer, Update
from ebmkit.registry.lookup import blame
from ebmkit.runs.build import seeds_of
from ebmkit.runs.checkpoint import NAME, Checkpoint
from ebmkit.runs.device import occupy, threads_for
from ebmkit.runs.diverging import EarlierCheckpoints, set_rate, way_on
from ebmkit.runs.events import add_event, rewrite_metrics, rolled_back
from ebmkit.runs.folder import new_folder, rewrite_folder
from ebmkit.runs.signals import stop_signals
from ebmkit.runs.watching import watched

Status = Literal["ready", "running", "done", "interrupted", "diverged", "failed"]


@dataclass
class Run:
    """A run whose parts are built; nothing is written before `train` is called.

    Attributes:
        recipe: What it was built from.
        trainer: The energy, its sampler, init and optimiser.
        examples: The data.
        batch_rng: Randomness of the batches, on the CPU whatever the device.
        choice: The precision of the passes of chains, and whether they are compiled, with the reason.
        folder: Its folder; None until a new run without a given folder begins.
        resumed: Whether the folder exists, with the checkpoint that the run was restored from.
        status: Whether it has begun, and how it ended.
        origin: What its weights come from, for `env.json`; None if they are new.
        memory: What each watcher keeps in the checkpoint, by its section.
        events: Each time that it was rolled back.
    """

    recipe: Recipe
    trainer: Trainer
    examples: Examples
    batch_rng: torch.Generator
    choice: Choice
    folder: Path | None
    resumed: bool = False
    status: Status = "ready"
    origin: Mapping[str, Any] | None = None
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.earlier = EarlierCheckpoints(Path("nowhere"), 0)  # the folder is known once the run begins

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.trainer.rng.device

    @property
    def threads(self) -> int:
        """How many CPU threads torch is given."""
        return threads_for(self.trainer.energy, self.recipe.train)

    def train(self, announce: Callable[[str], None] | None = None) -> Iterator[Update]:
        """Make the remaining updates, watched and saved in the folder of the run.

        A loop that is left early leaves a run that can be resumed. In the main thread, SIGINT, SIGTERM and SIGHUP end
        it after the current update. The number of torch's threads is set for the whole process.

        Args:
            announce: Called with a line for the user when a signal arrives.

        Yields:
            Every update, after the watchers have seen it.

        Raises:
            UsageError: at the call, for a watcher whose settings are out of range, or a folder that cannot be made.
            Diverged: if training diverged; the message names the last good checkpoint.
            Interrupted: after a signal; the message says how to resume.
            Unwritten: if a file of the run cannot be written, as on a full disk; updates are saved where possible.
        """
        occupy(self.threads)
        if self.resumed and self.folder is not None:
            updates = self.watched_updates(self.folder)
            rewrite_folder(self.folder, self.recipe, self.trainer.index, self.device, self.events)
        else:
            with new_folder(self.folder, self.recipe, self.device, self.origin) as folder:
                updates = self.watched_updates(folder)
            self.folder = folder
        self.status = "running"
        self.earlier = EarlierCheckpoints(self.folder.absolute(), self.trainer.index)
        return self._train(updates, announce or (lambda line: None))

    def _train(self, updates: Iterator[Update], announce: Callable[[str], None]) -> Iterator[Update]:
        status: Status = "failed"
        folder = self.earlier.folder
        try:
            self.earlier.begin(lambda path: self.checkpoint().write_to(path))
            with stop_signals(announce) as stop:
                while status == "failed":
                    try:
                        status = yield from self._until(updates, stop)
                    except Diverged as error:
                        # While a loop is left, nobody takes more updates.
                        if isinstance(error.__context__, GeneratorExit) or not self.roll_back(error):
                            status = "diverged"
                            raise
                        updates = self.watched_updates(folder)
        except Diverged as error:
            raise Diverged(f"{error}; {self._way_on(error)}") from error
        except (GeneratorExit, KeyboardInterrupt):
            status = "interrupted"
            raise
        except Unwritten as error:
            if self.folder is not None and (self.folder / NAME).exists():
                error.add_note(f"resume with: ebmkit train --resume {self.folder}")
            raise
        except Exception as error:
            blame(error, self.recipe.parts.values())
            raise
        finally:
            self.status = status
        if status == "interrupted":
            raise Interrupted(
                f"stopped after update {self.trainer.index}; resume with: ebmkit train --resume {self.folder}"
            )

    def _until(self, updates: Iterator[Update], stop: Event) -> Generator[Update, None, Status]:
        """The updates to the end, or until `stop` is set; returns which of the two it was."""
        with closing(updates):  # type: ignore[type-var]
            for update in updates:
                yield update
                if stop.is_set() and update.index < self.recipe.train.iterations:
                    return "interrupted"
        return "done"

    def roll_back(self, error: Diverged) -> bool:
        """Go back to the checkpoint from before a divergence, with new seed of the chains and a lower learning rate.

        Returns:
            Whether the run can go on; it cannot if its settings say so, or it was rolled back too often.
        """
        train, events = self.recipe.train, self.events
        if train.on_divergence != "rollback" or len(events) >= train.rollbacks:
            return False
        diverged = self.trainer.index
        # The rate is that of now: a file from before several divergences has the rate from before all of them.
        rates = [train.rollback_factor * group["initial_lr"] for group in self.trainer.optimizer.param_groups]
        saved = self.earlier.before(diverged)
        self.restore(saved)
        set_rate(self.trainer.optimizer, rates)
        self.trainer.rng.manual_seed(seeds_of(self.recipe, 1 + len(events)).chains)
        event = {"event": "rollback", "update": diverged, "to_update": saved.updates, "reason": str(error)}
        self.events = [*events, {**event, "lr": rates[0]}]
        self.checkpoint().write(self.earlier.folder)
        rewrite_metrics(self.earlier.folder, saved.updates, self.events)
        warnings.warn(f"{one_line(error)}; {rolled_back(self.events[-1])}", Notice, stacklevel=2)
        return True

    def _way_on(self, error: Diverged) -> str:
        """Note the divergence that ends the run, and return how to go on."""
        index, place = self.trainer.index, cast(Path, self.folder)
        before = self.earlier.before(index)
        try:
            add_event(self.earlier.folder, {"event": "diverged", "update": index, "reason": str(error)})
        except Unwritten as unwritten:  # the advice matters more
            warnings.warn(one_line(unwritten), Notice, stacklevel=2)
        written = (self.earlier.folder / NAME).exists()
        last = f"the last good checkpoint is {place / NAME}" if written else "no checkpoint had been written"
        command = way_on(place, self.recipe, self.trainer.optimizer.param_groups[0]["initial_lr"])
        return f"{last}; to go on from update {before.updates}, before the turn: {command}"

    def watched_updates(self, folder: Path) -> Iterator[Update]:
        """The remaining updates, as seen by every watcher of the recipe; `folder` is where they write.

        Raises:
            UsageError: at the call, for a watcher whose settings are out of range.
        """
        folder = folder.absolute()  # the program may change its folder while it trains
        facts = {
            "trainer": self.trainer,
            "folder": folder,
            "examples": self.examples,
            "iterations": self.recipe.train.iterations,
            "config": self.recipe.plain,
            "save": lambda: self.checkpoint().write(folder),
            "keep": lambda: self.earlier.keep(self.trainer.index),
            "memory": self.memory,
        }
        return watched(self.updates(), self.recipe, facts)

    def check_watchers(self) -> None:
        """Check the settings of every watcher; nothing is written.

        Raises:
            UsageError: for a setting out of range.
        """
        cast(Generator[Update], self.watched_updates(Path("nowhere"))).close()

    def updates(self) -> Iterator[Update]:
        """The remaining updates, without watchers and without a folder."""
        train = self.recipe.train
        factor = train.schedule(train.noise_schedule)
        real = batches(
            self.examples,
            train.batch_size,
            self.batch_rng,
            noise=lambda index: train.data_noise * factor(index),
            flip=train.flip,
            device=self.device,
            start=self.trainer.index,
        )
        yield from islice(map(self.update, real), train.iterations - self.trainer.index)

    def update(self, batch: Tensor) -> Update:
        """One update on a batch `(B, *shape)`; the gradient of the weights is computed in fp32 at any precision."""
        # Whatever mode the caller is in.
        with torch.inference_mode(False), torch.enable_grad(), arithmetic("fp32", batch.device):
            return self.trainer.update(batch.clone() if batch.is_inference() else batch)

    def checkpoint(self) -> Checkpoint:
        """The state after the last update."""
        return Checkpoint(
            config=self.recipe.toml(),
            shape=self.examples.shape,
            device=self.device.type,
            data=self.examples.fingerprint,
            batch_rng=self.batch_rng.get_state(),
            trainer=self.trainer.state_dict(),
            memory=deepcopy(self.memory),
            events=list(self.events),
        )

    def restore(self, saved: Checkpoint) -> None:
        """Restore a checkpoint; on another type of device the random state of the chains starts from the seed again.

        Raises:
            UsageError: if the examples have another shape.
        """
        if saved.shape != self.examples.shape:
            raise UsageError(
                f"the checkpoint is of examples {saved.shape}, but the data have shape {self.examples.shape}"
            )
        self.batch_rng.set_state(saved.batch_rng)
        trainer = dict(saved.trainer)
        if saved.device != self.device.type:
            trainer["rng"] = self.trainer.rng.get_state()
        self.trainer.load_state_dict(trainer)
        self.memory, self.events = deepcopy(saved.memory), list(saved.events)
