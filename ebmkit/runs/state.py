"""The state of a run: its parts, one update of it, and the checkpoint that it is saved in and restored from."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ebmkit.acceleration.choice import Choice
from ebmkit.acceleration.precision import arithmetic
from ebmkit.config.recipe import Recipe
from ebmkit.data.examples import Examples, indexed_batches
from ebmkit.errors import UsageError
from ebmkit.methods.method import Method
from ebmkit.methods.update import Update
from ebmkit.processes import Processes
from ebmkit.runs.checkpoint import Checkpoint
from ebmkit.runs.device import threads_for
from ebmkit.runs.diverging import EarlierCheckpoints
from ebmkit.runs.facts import asked, facts_of
from ebmkit.runs.newest import Opened
from ebmkit.runs.parts import RecipeParts
from ebmkit.runs.ranks import gathered, part_of

Status = Literal["ready", "running", "done", "interrupted", "diverged", "failed"]


@dataclass
class RunState:
    """What a run consists of, and where it is.

    Attributes:
        recipe: What it was built from.
        trainer: The method, with its networks, samplers, inits and optimisers.
        parts: What built the parts of the method; it can count the passes of chains.
        examples: The data.
        batch_rng: Randomness of the batches, on the CPU whatever the device.
        choice: The precision of the passes of chains, and whether they are compiled, with the reason.
        folder: Its folder; None until a new run without a given folder begins.
        opened: The checkpoint that it was restored from, in its folder; None for a new run.
        status: Whether it has begun, and how it ended.
        origin: What its weights come from, for `env.json`; None if they are new.
        memory: What each watcher keeps in the checkpoint, by its section.
        events: Each time that it was rolled back.
        earlier: The checkpoints to go back to; set when the run begins, for its folder is known only then.
    """

    recipe: Recipe
    trainer: Method
    parts: RecipeParts = field(repr=False)
    examples: Examples
    batch_rng: torch.Generator
    choice: Choice
    folder: Path | None
    opened: Opened | None = None
    status: Status = "ready"
    origin: Mapping[str, Any] | None = None
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    earlier: EarlierCheckpoints = field(init=False, repr=False)

    @property
    def processes(self) -> Processes:
        """The processes that train it together."""
        return self.trainer.sharing.processes

    @property
    def resumed(self) -> bool:
        """Whether its folder exists, with the checkpoint that it was restored from."""
        return self.opened is not None

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.trainer.rng.device

    @property
    def threads(self) -> int:
        """How many CPU threads torch is given."""
        return threads_for(self.trainer.networks.values(), self.recipe.train)

    def updates(self) -> Iterator[Update]:
        """The remaining updates, without watchers and without a folder."""
        train = self.recipe.train
        factor = train.schedule(train.noise_schedule)
        real = indexed_batches(
            self.examples,
            train.batch_size,
            self.batch_rng,
            noise=lambda index: train.data_noise * factor(index),
            flip=train.flip,
            device=self.device,
            start=self.trainer.index,
            part=(self.processes.rank, self.processes.size),
        )
        names = asked(self.trainer)
        while self.trainer.index < train.iterations:
            with self.trainer.sharing.whole():
                batch, indices = next(real)
                update = self.update(batch, **facts_of(names, self.examples, indices, self.device))
            yield update

    def update(self, batch: Tensor, **facts: Tensor) -> Update:
        """One update on a batch `(B, *shape)`; the gradient of the weights is computed in fp32 at any precision.

        Args:
            batch: The examples.
            **facts: The facts about them that the method asks for.
        """
        # Whatever mode the caller is in.
        with torch.inference_mode(False), torch.enable_grad(), arithmetic("fp32", batch.device):
            return self.trainer.update(batch.clone() if batch.is_inference() else batch, **facts)

    def checkpoint(self) -> Checkpoint:
        """The state after the last update; of several processes, all must ask for it, and the first gets it whole.

        Raises:
            UsageError: if the processes have different weights.
        """
        return Checkpoint(
            config=self.recipe.toml(),
            shape=self.examples.shape,
            device=self.device.type,
            data=self.examples.fingerprint,
            batch_rng=self.batch_rng.get_state(),
            trainer=gathered(self.trainer, self.processes),
            memory=deepcopy(self.memory),
            events=list(self.events),
        )

    def save(self, write: Callable[[Checkpoint], None]) -> None:
        """Write the state after the last update; of several processes, all must call this, and the first writes.

        Raises:
            UsageError: if the processes have different weights; nothing is written.
            Unwritten: if it cannot be written, in all processes.
        """
        state = self.checkpoint()
        with self.processes.together():
            if self.processes.first:
                write(state)

    def restore(self, saved: Checkpoint) -> None:
        """Restore a checkpoint; on another type of device the random state of the chains starts from the seed again.

        Each of several processes restores its own part of the state; see `part_of`.

        Raises:
            UsageError: if the examples have another shape.
        """
        if saved.shape != self.examples.shape:
            raise UsageError(
                f"the checkpoint is of examples {saved.shape}, but the data have shape {self.examples.shape}"
            )
        self.batch_rng.set_state(saved.batch_rng)
        trainer = part_of(saved.trainer, self.trainer, self.processes, self.recipe.train.seed)
        if saved.device != self.device.type:
            trainer |= self.trainer.random_states()
        self.trainer.load_state_dict(trainer)
        self.memory, self.events = deepcopy(saved.memory), list(saved.events)
        if self.events and self.trainer.gradient_penalty is not None:
            self.trainer.gradient_penalty = self.events[-1]["gradient_penalty"]
