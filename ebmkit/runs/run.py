"""A run: its parts, its updates, and its life from the first update to the last."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor

from ebmkit.acceleration.choice import Choice
from ebmkit.acceleration.precision import arithmetic
from ebmkit.config.recipe import Recipe
from ebmkit.data.examples import Examples, batches
from ebmkit.errors import Diverged, Interrupted, UsageError
from ebmkit.files import Unwritten
from ebmkit.methods.maximum_likelihood import Trainer, Update
from ebmkit.registry.lookup import blame
from ebmkit.runs.checkpoint import NAME, Checkpoint
from ebmkit.runs.device import occupy, threads_for
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
    """

    recipe: Recipe
    trainer: Trainer
    examples: Examples
    batch_rng: torch.Generator
    choice: Choice
    folder: Path | None
    resumed: bool = False
    status: Status = "ready"

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
            rewrite_folder(self.folder, self.recipe, self.trainer.index, self.device)
        else:
            with new_folder(self.folder, self.recipe, self.device) as folder:
                updates = self.watched_updates(folder)
            self.folder = folder
        self.status = "running"
        return self._train(updates, announce or (lambda line: None))

    def _train(self, updates: Iterator[Update], announce: Callable[[str], None]) -> Iterator[Update]:
        status: Status = "failed"
        try:
            with stop_signals(announce) as stop, closing(updates):  # type: ignore[type-var]
                for update in updates:
                    yield update
                    if stop.is_set() and update.index < self.recipe.train.iterations:
                        status = "interrupted"
                        break
                else:
                    status = "done"
        except Diverged as error:
            status = "diverged"
            raise Diverged(f"{error}; {self._last_checkpoint()}") from error
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

    def _last_checkpoint(self) -> str:
        path = self.folder / NAME if self.folder is not None else Path(NAME)
        return f"the last good checkpoint is {path}" if path.exists() else "no checkpoint had been written"

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
            device=self.device,
            start=self.trainer.index,
        )
        yield from islice(map(self.update, real), train.iterations - self.trainer.index)

    def update(self, batch: Tensor) -> Update:
        """One update on a batch `(B, *shape)`; the gradient of the weights is computed in fp32 at any precision."""
        with arithmetic("fp32", batch.device):
            return self.trainer.update(batch)

    def checkpoint(self) -> Checkpoint:
        """The state after the last update."""
        return Checkpoint(
            config=self.recipe.toml(),
            shape=self.examples.shape,
            device=self.device.type,
            data=self.examples.fingerprint,
            batch_rng=self.batch_rng.get_state(),
            trainer=self.trainer.state_dict(),
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
