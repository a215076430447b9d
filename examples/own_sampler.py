"""A sampler of your own: first used directly on an energy, then chosen by name like the built-in ones."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

import ebmkit
from ebmkit.pictures import grid
from ebmkit.runs import new_run


@dataclass(frozen=True, kw_only=True)
class HeavyBall(ebmkit.Sampler):
    """Langevin dynamics with momentum: `v' = friction * v - step_size * dE/dx + noise * N(0, I)`, `x' = x + v'`.

    Args:
        steps: K, the length of one chain.
        step_size: Coefficient of the gradient in one step.
        noise: Standard deviation of the noise that one step adds.
        friction: Fraction of the velocity that is kept from step to step.
    """

    steps: int = 100
    step_size: float = 0.002
    noise: float = 0.04
    friction: float = 0.6

    def chain(self, energy: ebmkit.EnergyFn, x: Tensor, rng: Generator) -> Iterator[ebmkit.State]:
        """Yield the state after each step; the velocity is a local variable, and starts at 0."""
        velocity = torch.zeros_like(x)
        for _ in range(self.steps):
            value, gradient = ebmkit.value_and_grad(energy, x)
            velocity = self.friction * velocity - self.step_size * gradient + self.noise * ebmkit.noise_like(x, rng)
            x = x + velocity
            yield ebmkit.State(x, {"energy": value, "gradient": gradient})


def main(iterations: int = 20, out: Path = Path("own_sampler.png")) -> None:
    """Sample a ring in the plane, then train a small energy on points with the sampler chosen by name."""
    rng = Generator().manual_seed(0)
    start = torch.randn(4096, 2, generator=rng)
    x = HeavyBall().sample(lambda x: 50 * (x.norm(dim=1) - 1) ** 2, start, rng)
    grid(x, columns=1).save(out)
    print(f"the chains end at radius {x.norm(dim=1).mean():.2f} +- {x.norm(dim=1).std():.2f}; wrote {out}")

    ebmkit.register("sampler", "heavy_ball", HeavyBall)
    parts = {"sampler": {"use": "heavy_ball", "steps": 20}, "energy": {"use": "mlp"}, "data": {"use": "moons"}}
    run = new_run({**parts, "train": {"iterations": iterations, "device": "cpu"}})
    for update in run.updates():  # `run.train()` would also write the folder of a run
        print(f"update {update.index}: gap {update.scalars['gap']:+.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
