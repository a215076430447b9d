"""What is raced: the same network, rule, start and steps for everybody."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from contenders import Contender, chains, trajectories, updates
from field import LANGEVIN, Field, network, noiseless
from others import CHAINS, TRAJECTORIES
from torch import Tensor, nn

from ebmkit.energies.activations import Activation
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.samplers.hmc import HMC

TRAINING = partial(torch.optim.Adam, lr=1e-4)


@dataclass(frozen=True)
class Race:
    """A comparison on equal terms.

    Attributes:
        title: What it is of.
        build: `build(activation)` gives the network: a smooth one for parity, the paper's for the clock.
        rules: The sampler that says how big steps are, and others by which parity is checked too.
        x: Where everybody starts `(B, *shape)`; for an update, its batch.
        steps: Updates in one turn.
        rounds: How many turns everybody has.
        contenders: Who runs, the plain loop first.
        examined: The same with what parity takes, another optimiser; none where it takes nothing else.
        ceiling: Whether achieved FLOP/s are compared with those of matrix products.
        gradients: Gradients that one step is counted as: an HMC proposal counts as its leapfrogs.
        lengths: The numbers of steps at which peaks of memory are measured.
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


def paper(field: Field) -> tuple[Callable[[Activation], nn.Module], Tensor]:
    """The paper's network at 32x32 with a batch of 64; a small one where it must be quick."""
    size, width, batch = (16, 16, 16) if field.quick else (32, 64, 64)
    shape = (3, size, size)
    build = partial(network, partial(ConvNet, shape, width=width), field.device)
    return build, field.start(batch, *shape)


def langevin(field: Field) -> list[Race]:
    """The paper's chain on the paper's network."""
    build, x = paper(field)
    contenders = chains(field.precisions, compiled=field.compiled) + CHAINS
    lengths = () if field.quick else (10, 1000) if field.device.type == "cuda" else (10,)
    title = "Chains: Langevin on the paper's network"
    rules = (LANGEVIN, noiseless(LANGEVIN))
    return [Race(title, build, rules, x, 20, 5, contenders, ceiling=True, lengths=lengths)]


def hamiltonian(field: Field) -> list[Race]:
    """HMC, five leapfrogs a proposal, on the paper's network."""
    build, x = paper(field)
    contenders = trajectories(field.precisions, compiled=field.compiled) + TRAJECTORIES
    rules = (HMC(step_size=0.02, leapfrog=5),)
    return [Race("HMC per leapfrog, on the paper's network", build, rules, x, 2, 5, contenders, gradients=5)]


def toys(field: Field) -> list[Race]:
    """Points in the plane and a small network, where calls cost more than numbers."""
    build = partial(network, partial(MLP, (2,), width=64, depth=2), field.device)
    contenders = chains(field.precisions, compiled=field.compiled) + CHAINS
    rules = (LANGEVIN, noiseless(LANGEVIN))
    return [
        Race("Toys: Langevin on an MLP 64-64 in the plane", build, rules, field.start(n, 2), 500, 15, contenders)
        for n in (64, 1000)
    ]


def training(field: Field) -> list[Race]:
    """One update of training with chains of K = 100; parity looks at its gradient, as plain descent shows it."""
    build, x = paper(field)
    contenders = updates(field.precisions, TRAINING, compiled=field.compiled)
    examined = updates(field.precisions, partial(torch.optim.SGD, lr=1.0), compiled=field.compiled)
    title = "Training: one update, on the paper's network"
    return [Race(title, build, (LANGEVIN, noiseless(LANGEVIN)), x, 100, 3, contenders, examined=examined)]


RACES = {"chains": langevin, "hmc": hamiltonian, "toys": toys, "update": training}
