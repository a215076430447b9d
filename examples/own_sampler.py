"""A sampler of one's own: used by hand on any energy, then chosen by its name like the built-in ones."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

import ebmkit
from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.interfaces import EnergyFn, noise_like
from ebmkit.pictures import grid
from ebmkit.runs.run import prepare


@dataclass(frozen=True, kw_only=True)
class HeavyBall(ebmkit.Sampler):
    """Langevin dynamics with momentum: `v' = friction * v - step_size * dE/dx + noise * N(0, I)`, `x' = x + v'`.

    Args:
        steps: How many steps one chain takes.
        step_size: Coefficient of the gradient in one step.
        noise: Standard deviation of the noise that one step adds.
        friction: Share of the velocity that is kept from step to step.
    """

    steps: int = 100
    step_size: float = 0.002
    noise: float = 0.04
    friction: float = 0.6

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[ebmkit.State]:
        """Yield the state after each step; the velocity is a local variable, and starts at 0."""
        velocity = torch.zeros_like(x)
        for _ in range(self.steps):
            value, gradient = ebmkit.value_and_grad(energy, x)
            velocity = self.friction * velocity - self.step_size * gradient + self.noise * noise_like(x, rng)
            x = x + velocity
            yield ebmkit.State(x, {"energy": value, "gradient": gradient})


def main(iterations: int = 20, out: Path = Path("own_sampler.png")) -> None:
    """Sample a ring in the plane by hand, then train a small energy with the sampler chosen by name."""
    rng = Generator().manual_seed(0)
    x = HeavyBall().sample(lambda x: 50 * (x.norm(dim=1) - 1) ** 2, torch.randn(4096, 2, generator=rng), rng)
    grid(x, columns=1).save(out)
    print(f"the ends lie at radius {x.norm(dim=1).mean():.2f} +- {x.norm(dim=1).std():.2f}; wrote {out}")

    ebmkit.register("sampler", "heavy_ball", HeavyBall)
    parts = ["sampler.use=heavy_ball", "sampler.steps=20", "energy.use=mlp", "data.use=moons", "train.device=cpu"]
    for step in prepare(resolve([typed([*parts, f"train.iterations={iterations}"])]), None).updates():
        print(f"update {step.index}: gap {step.loss:+.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
