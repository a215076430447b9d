"""Samplers of other libraries as contenders: their own loops, with the step size and noise of ours."""

from importlib.metadata import version

import ebm
import torch
from contenders import Contender, Run
from torch import Generator, Tensor, nn
from torchebm.core import BaseModel
from torchebm.samplers import HamiltonianMonteCarlo, LangevinDynamics

from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin

TORCHEBM = f"torchebm {version('torchebm')}"
OTHER = f"ebm {ebm.__version__} (ebmkit on PyPI)"


class Model(BaseModel):  # type: ignore[misc]
    """An energy for torchebm, which samples only from its own modules."""

    def __init__(self, energy: nn.Module, shape: torch.Size) -> None:
        super().__init__()
        self.energy, self.shape = energy, shape

    def forward(self, x: Tensor) -> Tensor:
        energy: Tensor = self.energy(x.view(-1, *self.shape))
        return energy


def torchebm_langevin(energy: nn.Module, rule: Langevin) -> Run:
    """Its noise has standard deviation `noise_scale * sqrt(2 * step_size)`; it does not accept zero noise."""
    scale = max(rule.noise, 1e-30) / (2 * rule.step_size) ** 0.5

    def run(x: Tensor, steps: int, rng: Generator) -> Tensor:
        model = Model(energy, x.shape[1:])
        sampler = LangevinDynamics(model, step_size=rule.step_size, noise_scale=scale, device=x.device)
        end: Tensor = sampler.sample(x=x, n_steps=steps, generator=rng)
        return end

    return run


def torchebm_hmc(energy: nn.Module, rule: HMC) -> Run:
    """Its HMC accepts only flat examples."""

    def run(x: Tensor, steps: int, rng: Generator) -> Tensor:
        settings = {"step_size": rule.step_size, "n_leapfrog_steps": rule.leapfrog, "device": x.device}
        sampler = HamiltonianMonteCarlo(Model(energy, x.shape[1:]), **settings)
        end: Tensor = sampler.sample(x=x.flatten(1), n_steps=steps, generator=rng)
        return end.view_as(x)

    return run


def other_langevin(energy: nn.Module, rule: Langevin) -> Run:
    """It draws from the global random state."""
    sampler = ebm.LangevinDynamics(step_size=rule.step_size, noise_scale=rule.noise)
    return lambda x, steps, rng: sampler.sample(energy, x, steps=steps)


def other_hmc(energy: nn.Module, rule: HMC) -> Run:
    """It draws from the global random state."""
    sampler = ebm.HMC(step_size=rule.step_size, leapfrog_steps=rule.leapfrog)
    return lambda x, steps, rng: sampler.sample(energy, x, steps=steps)


CHAINS = [Contender(TORCHEBM, torchebm_langevin), Contender(OTHER, other_langevin)]
TRAJECTORIES = [Contender(TORCHEBM, torchebm_hmc), Contender(OTHER, other_hmc)]
