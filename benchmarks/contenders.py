"""A plain loop and ebmkit: both apply the same sampler, so their chains must end at the same place.

The contenders of other libraries are in `others.py`, so that this module needs only ebmkit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils import parameters_to_vector

from ebmkit import Accelerated
from ebmkit.acceleration.precision import Precision, arithmetic
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import EnergyFn
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin

Run = Callable[[Tensor, int, Generator], Tensor]
Make = Callable[[nn.Module, Any], Run]
Refresh = Callable[[nn.Module], EnergyFn]
Optimizer = Callable[[Any], torch.optim.Optimizer]
PLAIN = "plain loop"


@dataclass(frozen=True)
class Contender:
    """One implementation of the steps of a sampler.

    Attributes:
        name: Its name in the tables.
        make: `make(energy, rule)` returns `run(x, steps, rng)`, which makes `steps` steps from `x` `(B, *shape)` and
            returns what is compared: for a chain, its end. A contender that cannot use `rng` draws from the global
            random state, which is seeded alike.
        precision: The precision of its passes.
    """

    name: str
    make: Make
    precision: Precision = "fp32"


def chains(precisions: tuple[Precision, ...], *, compiled: bool = False) -> list[Contender]:
    """Langevin: the plain loop, the same in each lower precision, and ebmkit."""
    return in_precisions(plain_langevin, ours, precisions, compiled)


def trajectories(precisions: tuple[Precision, ...], *, compiled: bool = False) -> list[Contender]:
    """Hamiltonian Monte Carlo: the plain loop, the same in each lower precision, and ebmkit."""
    return in_precisions(plain_hmc, ours, precisions, compiled)


def updates(precisions: tuple[Precision, ...], optimizer: Optimizer, *, compiled: bool = False) -> list[Contender]:
    """One update of training: the plain loop, the same in each lower precision, and ebmkit."""
    return in_precisions(partial(plain_update, optimizer), partial(our_update, optimizer), precisions, compiled)


def in_precisions(
    plain: Make, kit: Callable[..., Run], precisions: tuple[Precision, ...], compiled: bool
) -> list[Contender]:
    """The plain loop, also in lower precisions as scripts do it; then ebmkit plain, accelerated and compiled."""
    return [
        Contender(PLAIN, plain),
        *(Contender(f"{PLAIN}, {one}", partial(lowered, one, plain), one) for one in precisions if one != "fp32"),
        Contender("ebmkit", partial(kit, None)),
        *(
            Contender(f"ebmkit, {'compiled' if compile else 'accelerated'} {one}", partial(kit, (one, compile)), one)
            for one in precisions
            for compile in ((False, True) if compiled else (False,))
        ),
    ]


class Autocast(nn.Module):
    """The energy with autocast to bfloat16 around each pass, as in training scripts.

    Autocast does not surround the whole chain: the loop changes x in place, but autocast would reuse its first copy.
    """

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, x: Tensor) -> Tensor:
        """Energies of examples `(B, *shape)`."""
        with torch.autocast(x.device.type, torch.bfloat16):
            energy: Tensor = self.energy(x)
        return energy


def lowered(precision: Precision, make: Make, energy: nn.Module, rule: Any) -> Run:
    """The same loop in lower precision."""
    loop = make(Autocast(energy) if precision == "bf16" else energy, rule)

    def run(x: Tensor, steps: int, rng: Generator) -> Tensor:
        with arithmetic(precision, x.device):
            return loop(x, steps, rng)

    return run


def plain_langevin(energy: nn.Module, rule: Langevin) -> Run:
    """The loop of the released code of the paper, including the retained graph."""

    def run(x: Tensor, steps: int, rng: Generator) -> Tensor:
        x = x.clone().requires_grad_()
        for _ in range(steps):
            gradient = torch.autograd.grad(energy(x).sum(), [x], retain_graph=True)[0]
            x.data += -rule.step_size * gradient + rule.noise * torch.randn_like(x)
        return x.detach()

    return run


def plain_hmc(energy: nn.Module, rule: HMC) -> Run:
    """The textbook loop: `leapfrog + 1` gradients per proposal, then a Metropolis step."""

    def force(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        value = energy(x).float()
        return value.detach(), torch.autograd.grad(value.sum(), x)[0]

    def run(x: Tensor, steps: int, rng: Generator) -> Tensor:
        for _ in range(steps):
            momentum = torch.randn_like(x)
            value, gradient = force(x)
            before = value + momentum.square().flatten(1).sum(1) / 2
            end = x
            for _ in range(rule.leapfrog):
                momentum = momentum - rule.step_size / 2 * gradient
                end = end + rule.step_size * momentum
                value, gradient = force(end)
                momentum = momentum - rule.step_size / 2 * gradient
            after = value + momentum.square().flatten(1).sum(1) / 2
            keep = torch.rand_like(before).log() < before - after
            x = torch.where(keep.view(-1, *[1] * (x.ndim - 1)), end, x)
        return x

    return run


def plain_update(optimizer: Optimizer, energy: nn.Module, rule: Langevin) -> Run:
    """Algorithm 1 of the paper as a plain loop; the weights after the update, as one vector, are compared."""
    weights, loop = optimizer(energy.parameters()), plain_langevin(energy, rule)

    def run(x: Tensor, steps: int, rng: Generator) -> Tensor:
        fake = loop(torch.rand_like(x) * 2 - 1, steps, rng)
        loss = energy(x).mean() - energy(fake).mean()
        weights.zero_grad()
        loss.backward()
        weights.step()
        return parameters_to_vector(energy.parameters()).detach()

    return run


def ours(kind: tuple[Precision, bool] | None, energy: nn.Module, rule: Langevin | HMC) -> Run:
    """The sampler of ebmkit; if the energy is accelerated, copying its weights is part of every chain."""
    refresh = stand_in(kind, energy)
    return lambda x, steps, rng: replace(rule, steps=steps).sample(refresh(energy) if refresh else energy, x, rng)


def our_update(optimizer: Optimizer, kind: tuple[Precision, bool] | None, energy: nn.Module, rule: Langevin) -> Run:
    """`Trainer.update`, compared as `plain_update` is."""
    weights, refresh = optimizer(energy.parameters()), stand_in(kind, energy)

    def run(x: Tensor, steps: int, rng: Generator) -> Tensor:
        init, sampler = Uniform(tuple(x.shape[1:])), replace(rule, steps=steps)
        Trainer(energy, sampler, init, weights, rng, accelerate=refresh).update(x)
        return parameters_to_vector(energy.parameters()).detach()

    return run


def stand_in(kind: tuple[Precision, bool] | None, energy: nn.Module) -> Refresh | None:
    """The argument `accelerate` of a trainer for a precision and whether to compile; None for None."""
    return Accelerated(energy, precision=kind[0], compile=kind[1]).refreshed if kind is not None else None
