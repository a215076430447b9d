"""The energy of many examples, and along the chains of a model."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit.errors import check
from ebmkit.interfaces import EnergyFn, energy_values, eval_mode
from ebmkit.shortrun import ShortRun


def energies(energy: EnergyFn, x: Tensor, *, batch: int = 256) -> Tensor:
    """E(x) `(B,)` of examples `(B, *shape)`, without a graph.

    Args:
        energy: The energy; it is evaluated in evaluation mode.
        x: The examples.
        batch: How many examples are evaluated at once.

    Raises:
        UsageError: if `batch` is below 1.
    """
    check("batch", batch, at_least=1)
    with torch.no_grad(), eval_mode(energy):
        return torch.cat([energy_values(energy, chunk) for chunk in torch.split(x, batch)])


class EnergyAlong(NamedTuple):
    """Mean and standard deviation over chains of the energy after 0 to K steps, `(K + 1,)` each."""

    mean: Tensor
    sd: Tensor


def energy_along(short: ShortRun, n: int, rng: Generator) -> EnergyAlong:
    """The energy along n chains of a model; the first entry is that of the starts.

    Raises:
        UsageError: unless n is at least 2.
    """
    check("n", n, at_least=2)
    x = short.init.sample(n, rng)
    values = [energies(short.energy, x)]
    with eval_mode(short.energy):
        values += [energies(short.energy, state.x) for state in short.sampler.chain(short.energy, x, rng)]
    along = torch.stack(values)
    return EnergyAlong(along.mean(1), along.std(1))
