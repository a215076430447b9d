"""Do chains in the latent space of a flow mix, where chains in the space of examples do not?

python mixing.py runs/nt-gaussians

For a model of the data `gaussians` with 8 modes. All chains start in one mode, and have the same number of gradients of
the same density; the step size of each sampler is adapted first, and in the space of examples the best of three lengths
of trajectories is shown too. Chains that mix have a split R-hat below about 1.01, and visit all modes.
"""

import argparse
import math
from pathlib import Path

import torch
from ebmkit_neural_transport.adaptive import AdaptiveHMC
from ebmkit_neural_transport.likelihood import flow_of
from ebmkit_neural_transport.tilt import ExampleEnergy
from torch import Generator, Tensor

from ebmkit import EnergyFn, eval_mode, load
from ebmkit.evaluation import effective_sample_size, split_rhat
from ebmkit.methods import follow
from ebmkit.samplers import HMC

MODES, WARM_UP = 8, 30
LENGTHS = (0.1, 0.3, 1.0)  # of trajectories in x, whose modes have the standard deviation 0.15


def adapted(energy: EnergyFn, start: Tensor, length: float, rng: Generator) -> HMC:
    """HMC with a step size that was adapted in short chains from the start."""
    sampler = AdaptiveHMC(steps=5, step_size=length / 20, length=length)
    with eval_mode(energy):
        for _ in range(WARM_UP):
            _, found = follow(start, sampler.chain(energy, start, rng))
            sampler.adapt(float(found["accepted"]))
    return sampler.frozen


def states(energy: EnergyFn, start: Tensor, sampler: HMC, gradients: int, rng: Generator) -> Tensor:
    """The states of chains with this many gradients: `(steps, chains, 2)`."""
    chain = sampler.with_steps(gradients // sampler.leapfrog)
    with eval_mode(energy):
        return torch.stack([state.x for state in chain.chain(energy, start, rng)])


def modes_of(x: Tensor) -> float:
    """How many of the modes a chain visits, as a mean over the chains of `x` `(steps, chains, 2)`."""
    angle = torch.atan2(x[..., 1], x[..., 0]) * MODES / (2 * math.pi)
    nearest = angle.round().long() % MODES
    return float(torch.nn.functional.one_hot(nearest, MODES).amax(0).sum(1).double().mean())


def row(name: str, x: Tensor, sampler: HMC) -> str:
    """One row of the table."""
    figures = f"{float(split_rhat(x).max()):.3f} | {float(effective_sample_size(x).min()):.0f} | {modes_of(x):.2f}"
    return f"| {name} | {sampler.step_size:.3g} | {sampler.leapfrog} | {len(x)} | {figures} |"


def main(run: Path, chains: int, gradients: int, seed: int) -> None:
    """Print the table."""
    short, rng = load(run, device="cpu"), Generator().manual_seed(seed)
    flow = flow_of(short)
    x = torch.tensor([1.0, 0.0]) + 0.05 * torch.randn(chains, 2, generator=rng)
    with torch.no_grad():
        z, _ = flow.inverse(x)
    print("| chains in | step size | leapfrogs | steps | R-hat | ESS | modes |\n|---|---:|---:|---:|---:|---:|---:|")
    sampler = adapted(short.energy, z, 1.6, rng)
    print(
        row(
            "z",
            short.decoded(states(short.energy, z, sampler, gradients, rng).flatten(0, 1)).view(-1, chains, 2),
            sampler,
        )
    )
    density = ExampleEnergy(short.energy, flow)
    for length in LENGTHS:
        sampler = adapted(density, x, length, rng)
        print(row(f"x, length {length}", states(density, x, sampler, gradients, rng), sampler))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--chains", type=int, default=32)
    parser.add_argument("--gradients", type=int, default=2000, help="of each chain")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    main(given.run, given.chains, given.gradients, given.seed)
