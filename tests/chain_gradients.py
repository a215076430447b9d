"""Networks and samplers, for the tests of gradients through a chain."""

from typing import Any

import torch
from torch import Generator, nn

from ebmkit.energies.mlp import MLP
from ebmkit.interfaces import Sampler
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin

SAMPLERS: dict[str, Sampler] = {
    "langevin": Langevin(steps=11, step_size=0.3),
    "clipped": Langevin(steps=11, step_size=0.3, clip=0.05),
    "hmc": HMC(steps=5, step_size=0.2, leapfrog=3),
}


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def network(activation: Any, strength: float = 3.0) -> nn.Module:
    torch.manual_seed(0)
    energy = MLP((6,), width=16, depth=2, activation=activation).double()
    for parameter in energy.parameters():
        parameter.data *= strength
    return energy.requires_grad_(False)
