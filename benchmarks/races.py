"""The races: all contenders have the same network, sampler, start and number of steps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from conditions import LANGEVIN, Setup, network, noiseless
from contenders import Contender, chains, trajectories, updates
from torch import Tensor, nn

from ebmkit.energies.activations import Activation
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.samplers.hmc import HMC

TRAINING = partial(torch.optim.Adam, lr=1e-4)
MISSING = ""  # a line if the other libraries are not installed
CHAINS: list[Contender] = []
TRAJECTORIES: list[Contender] = []
try:
    from others import CHAINS, TRAJECTORIES
except ModuleNotFoundError as error:
    if error.name not in ("ebm", "torchebm"):
        raise
    MISSING = f"other libraries are left out: no module '{error.name}'; `make bench` installs them in an environment."


@dataclass(frozen=True)
class Race:
    """A comparison under equal conditions.

    Attributes:
        title: Its title in the tables.
        build: `build(activation)` returns the network: a smooth one for parity, that of the paper for timing.
        rules: The sampler that is timed, and further ones for which parity is checked.
        x: Where all chains start `(B, *shape)`; for an update, its batch.
        steps: Steps per turn.
        rounds: Turns of each contender.
        contenders: The contenders, first the plain loop.
        examined: The contenders for parity if these differ, as in their optimiser; None if they do not.
        ceiling: Whether achieved FLOP/s are compared with those of matrix products.
        gradients: The number of gradients that one step counts as: an HMC proposal counts as its leapfrog steps.
        lengths: The numbers of steps at which peak memory is measured.
    """

    title: str
    build: Callable[[Activation], nn.Module]
    rules: tuple[Any, ...]
    x: Tensor
    steps: int
    rounds: int
    contenders: list[Contender]
    examined: list[Contender] | None = None
    ceiling: bool = False
    gradients: int = 1
    lengths: tuple[int, ...] = ()


def paper(setup: Setup) -> tuple[Callable[[Activation], nn.Module], Tensor]:
    """The network of the paper at 32x32 with a batch of 64; a small one in a quick run."""
    size, width, batch = (16, 16, 16) if setup.quick else (32, 64, 64)
    shape = (3, size, size)
    build = partial(network, partial(ConvNet, shape, width=width), setup.device)
    return build, setup.start(batch, *shape)


def langevin(setup: Setup) -> list[Race]:
    """The chain of the paper on its network."""
    build, x = paper(setup)
    contenders = chains(setup.precisions, compiled=setup.compiled) + CHAINS
    lengths = () if setup.quick else (10, 1000) if setup.device.type == "cuda" else (10,)
    title = "Chains: Langevin on the paper's network"
    rules = (LANGEVIN, noiseless(LANGEVIN))
    return [Race(title, build, rules, x, 20, 5, contenders, ceiling=True, lengths=lengths)]


def hamiltonian(setup: Setup) -> list[Race]:
    """HMC with five leapfrog steps per proposal, on the network of the paper."""
    build, x = paper(setup)
    contenders = trajectories(setup.precisions, compiled=setup.compiled) + TRAJECTORIES
    rules = (HMC(step_size=0.02, leapfrog=5),)
    return [Race("HMC per leapfrog step, on the paper's network", build, rules, x, 2, 5, contenders, gradients=5)]


def toys(setup: Setup) -> list[Race]:
    """Points in the plane and a small network, where the overhead of calls dominates."""
    build = partial(network, partial(MLP, (2,), width=64, depth=2), setup.device)
    contenders = chains(setup.precisions, compiled=setup.compiled) + CHAINS
    rules = (LANGEVIN, noiseless(LANGEVIN))
    return [
        Race("Toys: Langevin on an MLP 64-64 in the plane", build, rules, setup.start(n, 2), 500, 15, contenders)
        for n in (64, 1000)
    ]


def training(setup: Setup) -> list[Race]:
    """One update of training with K = 100; parity uses gradient descent, whose weights show the gradient."""
    build, x = paper(setup)
    contenders = updates(setup.precisions, TRAINING, compiled=setup.compiled)
    examined = updates(setup.precisions, partial(torch.optim.SGD, lr=1.0), compiled=setup.compiled)
    title = "Training: one update, on the paper's network"
    return [Race(title, build, (LANGEVIN, noiseless(LANGEVIN)), x, 100, 3, contenders, examined=examined)]


RACES = {"chains": langevin, "hmc": hamiltonian, "toys": toys, "update": training}
