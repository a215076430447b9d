"""The settings of the training loop: the section `train`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ebmkit.acceleration.choice import Asked, Compile
from ebmkit.errors import UsageError, check
from ebmkit.methods.maximum_likelihood import Clip
from ebmkit.methods.schedules import Schedule, constant, cosine, growing, linear

Penalty = float | Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The settings of the training loop.

    Args:
        iterations: How many updates the run makes.
        batch_size: Real examples, and chains, in one update, of all processes together.
        data_noise: Standard deviation of the noise that each batch of real examples gets.
        flip: Whether each image of a batch is mirrored left to right with probability 1/2.
        lr_schedule: Schedule of the learning rate: constant, or linear or cosine to zero after update schedule_from.
        noise_schedule: Schedule of data_noise: constant, or linear or cosine to zero after update schedule_from.
        schedule_from: Update after which schedules fall, to reach zero after the last (the paper: 200,000).
        first_steps: Steps of the chains of the first update, which then grow linearly to sampler.steps; none has
            sampler.steps throughout.
        full_steps_from: The first update whose chains have sampler.steps steps, where first_steps is set.
        energy_l2: Weight of the mean squared energies in the loss; 0 leaves them out.
        gradient_penalty: Weight of half the mean squared norm of dE/dx at the real examples in the loss, which keeps
            the chains stable; auto is 1 for images larger than 8x8 and 0 for all other examples.
        gradient_clip: Bound on the norm of the parameter gradient; auto is clip_factor times the median norm of the
            last 100 updates; none does not clip.
        clip_factor: The bound of gradient_clip=auto, in medians; with 1 or less the bound hardly rises.
        average: Decay of a moving average of the weights, used for pictures and samples; none keeps no average.
        on_divergence: What a run does that diverges: stop, or rollback, which returns to the checkpoint from before the
            turn, with another seed of the chains, a lower learning rate and a stronger gradient penalty.
        rollbacks: How many times a run is rolled back before it stops.
        rollback_factor: Factor of the learning rate at each rollback.
        precision: Dtype of the forward and backward passes of chains, whose state stays fp32; auto measures which of
            fp32, bf16 and tf32 is fastest on this machine.
        compile: Whether the passes are compiled by torch: on, off, or auto, which measures it for a long run on a GPU.
        seed: Seed of the weights, the batches and the chains.
        device: Where to compute: auto, cpu, cuda, cuda:N or mps.
        threads: Threads on a CPU; none uses one for energies of up to 100,000 parameters, torch's own number above.
        rank_timeout: Seconds that one of several processes waits for another before the run ends.

    Raises:
        UsageError: if a setting is outside its range.
    """

    iterations: int = 400
    batch_size: int = 32
    data_noise: float = 0.05
    flip: bool = False
    lr_schedule: Schedule = "linear"
    noise_schedule: Schedule = "constant"
    schedule_from: int = 250
    first_steps: int | None = None
    full_steps_from: int = 250
    energy_l2: float = 0.0
    gradient_penalty: Penalty = "auto"
    gradient_clip: Clip | None = None
    clip_factor: float = 1.5
    average: float | None = None
    on_divergence: Literal["stop", "rollback"] = "stop"
    rollbacks: int = 3
    rollback_factor: float = 0.5
    precision: Asked = "fp32"
    compile: Compile = "off"
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    rank_timeout: float = 1800.0

    def __post_init__(self) -> None:
        check("iterations", self.iterations, at_least=1)
        check("batch_size", self.batch_size, at_least=1)
        check("data_noise", self.data_noise, at_least=0)
        check("schedule_from", self.schedule_from, at_least=0)
        if self.first_steps is not None:
            check("first_steps", self.first_steps, at_least=1)
        check("full_steps_from", self.full_steps_from, at_least=1)
        check("clip_factor", self.clip_factor, above=0)
        if self.gradient_penalty != "auto":
            check("gradient_penalty", self.gradient_penalty, at_least=0)
        check("rollbacks", self.rollbacks, at_least=0)
        check("rollback_factor", self.rollback_factor, above=0, at_most=1)
        check("seed", self.seed, at_least=0)
        if self.threads is not None:
            check("threads", self.threads, at_least=1)
            check("threads", self.threads, at_most=1024)
        check("rank_timeout", self.rank_timeout, above=0, at_most=10**6)
        check("iterations", self.iterations, at_most=10**12)
        check("batch_size", self.batch_size, at_most=10**9)
        check("seed", self.seed, below=2**63)

    def part(self, processes: int) -> int:
        """How many examples, and chains, each process has in one update.

        Raises:
            UsageError: if the batch cannot be divided among them.
        """
        size, rest = divmod(self.batch_size, processes)
        if rest or not size:
            near = " or ".join(str(n * processes) for n in (size, size + 1) if n)
            raise UsageError(
                f"batch_size={self.batch_size} cannot be divided among {processes} processes: write {near}"
            )
        return size

    def penalty(self, shape: tuple[int, ...]) -> float:
        """The weight of the gradient penalty for examples of a shape."""
        if self.gradient_penalty != "auto":
            return self.gradient_penalty
        return 1.0 if len(shape) == 3 and max(shape[1:]) > 8 else 0.0

    def schedule(self, kind: Schedule) -> Callable[[int], float]:
        """The factor by the index of the update that this schedule is in this run."""
        if kind == "constant":
            return constant
        return {"linear": linear, "cosine": cosine}[kind](self.iterations, self.schedule_from)

    def steps(self, full: int | None) -> Callable[[int], int] | None:
        """The number of steps of a chain by the index of the update; None if it does not grow.

        Args:
            full: K, the setting of the sampler; None if it has none.

        Raises:
            UsageError: if chains of the first update would be longer than K, or there is no K.
        """
        if self.first_steps is None:
            return None
        if full is None:
            raise UsageError("first_steps needs a sampler with the setting `steps`: leave it out, or write none")
        if self.first_steps > full:
            raise UsageError(f"first_steps must be at most sampler.steps, {full}, not {self.first_steps}")
        return growing(self.first_steps, full, self.full_steps_from)
