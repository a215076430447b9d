"""Plug-ins that were written for API 1, word for word: they work as they are, or are refused with a line."""

# plugins/ebmkit-annealed as it was for API 1, byte for byte.
ANNEALED_HOOKS = '''"""Plug-in for ebmkit: the sampler `annealed`."""

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 1


@hookimpl
def samplers() -> dict[str, str]:
    """The sampler by its import string, so that listing it imports no torch."""
    return {"annealed": "ebmkit_annealed.sampler:Annealed"}
'''
ANNEALED_SAMPLER = '''"""Langevin dynamics with falling noise."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Generator, Tensor

from ebmkit import Promises, Sampler, State, value_and_grad
from ebmkit.errors import check
from ebmkit.interfaces import EnergyFn, noise_like


@dataclass(frozen=True, kw_only=True)
class Annealed(Sampler):
    """Langevin dynamics whose noise falls linearly along the chain.

    One step is `x' = x - step_size * dE/dx(x) + s N(0, I)`, where `s` goes down a straight line from `noise` at
    the first step to `final_noise` at the last. There is no one temperature, so the sampler states none.

    Args:
        steps: How many steps one chain takes.
        step_size: Coefficient of the gradient in one step.
        noise: Standard deviation of the noise that the first step adds.
        final_noise: Standard deviation of the noise that the last step adds; a single step has `noise`.

    Raises:
        UsageError: if a setting is outside its range, or the noise would rise.
    """

    steps: int = 100
    step_size: float = 1.0
    noise: float = 0.1
    final_noise: float = 0.0

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=1)
        check("step_size", self.step_size, above=0)
        check("noise", self.noise, at_least=0)
        check("final_noise", self.final_noise, at_least=0, at_most=self.noise)

    @property
    def promises(self) -> Promises:
        """K gradients. No law is left as it is: nothing corrects the discretisation."""
        return Promises(gradients=self.steps, stochastic=self.noise > 0, translates=True)

    @property
    def noiseless(self) -> "Annealed":
        """Gradient descent with the same steps."""
        return replace(self, noise=0.0, final_noise=0.0)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after each step; K gradients in all."""
        for step in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            x = x - self.step_size * gradient
            if self.noise:
                x = x + self.noise_at(step) * noise_like(x, rng)
            yield State(x, {"energy": value, "gradient": gradient})

    def noise_at(self, step: int) -> float:
        """Standard deviation of the noise of a step, counted from 0."""
        share = step / max(1, self.steps - 1)
        return self.noise + share * (self.final_noise - self.noise)
'''

# The watcher of plugins/ebmkit-tensorboard as it was for API 1, shortened, and without tensorboard.
WATCHER = '''"""Figures of a run, as a table."""

from collections.abc import Iterator
from pathlib import Path

from ebmkit import Step, Trainer
from ebmkit.errors import check
from ebmkit.watch import measures

Steps = Iterator[Step]


def table(steps: Steps, trainer: Trainer, folder: Path, *, every: int = 1) -> Steps:
    """Write figures to `table.txt` in the run's folder.

    Args:
        every: Write the figures of each N-th update; 0 writes none.
    """
    check("every", every, at_least=0)
    for step in steps:
        if every and step.index % every == 0:
            with (folder / "table.txt").open("a") as file:
                print(step.index, measures(step), file=file)
        yield step
'''
