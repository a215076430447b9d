"""How likely examples are under a flow, and under its tilt, whose constant is estimated."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit import EnergyFn, ShortRun, UsageError, check, energy_values, eval_mode
from ebmkit_neural_transport.flow import Flow
from ebmkit_neural_transport.tilt import ExampleEnergy


@dataclass(frozen=True)
class Normaliser:
    """An estimate of log Z, where Z = E_q exp(-E).

    Attributes:
        value: log Z.
        error: Its standard error, from the spread of the weights.
        ess: Effective sample size of the weights, from 1 to `draws`: `(Σ w)² / Σ w²`. Below about 100 the value and
            its error cannot be trusted.
        draws: How many weights there are.
    """

    value: float
    error: float
    ess: float
    draws: int


@dataclass(frozen=True)
class LogLikelihood:
    """Mean log densities of examples in nats, with standard errors.

    Attributes:
        flow: Mean of log q(x).
        flow_error: Its standard error, over the examples.
        tilted: Mean of log p(x) = log q(x) - E(x) - log Z.
        tilted_error: Its standard error, over the examples and of log Z.
        gain: tilted - flow, the mean of -E(x) - log Z.
        gain_error: Its standard error.
        normaliser: The estimate of log Z.
    """

    flow: float
    flow_error: float
    tilted: float
    tilted_error: float
    gain: float
    gain_error: float
    normaliser: Normaliser


def log_likelihood(
    short: ShortRun, x: Tensor, rng: Generator, *, draws: int = 10_000, temperatures: int = 1, batch: int = 1000
) -> LogLikelihood:
    """Mean log density of examples under the flow and under the tilted flow.

    Args:
        short: A model of the method `nt-ebm`, as `ebmkit.load` returns it.
        x: Held-out examples `(n, *shape)`.
        rng: Randomness of the estimate of log Z.
        draws: How many weights estimate it.
        temperatures: 1 is importance sampling; see `normaliser`.
        batch: How many examples are computed at once.

    Raises:
        UsageError: for a model without a flow, fewer than 2 examples, or a number out of range.
    """
    check("n", len(x), at_least=2)
    found = normaliser(short, rng, draws=draws, temperatures=temperatures, batch=batch)
    density, unnormalised = log_densities(short, x, batch)
    tilted, gain = unnormalised - found.value, unnormalised - density - found.value

    def error(values: Tensor) -> float:
        return float(values.std()) / math.sqrt(len(values))

    return LogLikelihood(
        float(density.mean()),
        error(density),
        float(tilted.mean()),
        math.hypot(error(tilted), found.error),
        float(gain.mean()),
        math.hypot(error(gain), found.error),
        found,
    )


def log_densities(short: ShortRun, x: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """Log q(x), and log q(x) - E(x), which lacks log Z, of examples `(n, *shape)`: `(n,)` in float64, on the CPU.

    Raises:
        UsageError: for a model without a flow.
    """
    flow, energy = flow_of(short), ExampleEnergy(short.energy, flow_of(short))
    with torch.no_grad(), eval_mode(energy):
        parts = [(flow.log_density(one), -energy_values(energy, one)) for one in torch.split(x, batch)]
    density, unnormalised = (torch.cat(part).cpu().double() for part in zip(*parts, strict=True))
    return density, unnormalised


def normaliser(
    short: ShortRun, rng: Generator, *, draws: int = 10_000, temperatures: int = 1, batch: int = 1000
) -> Normaliser:
    """Log Z of a tilted flow, by annealed importance sampling in its latent space.

    Draws of N(0, I) pass through the energies `β (U(z) - |z|²/2) + |z|²/2` for β = 1/T, 2/T, ..., 1, with one step of
    the sampler at each; their weights are the products of exp(-E/T) where β rises. With one temperature it is
    importance sampling: z is drawn from N(0, I), and its weight is exp(-E(f(z))).

    Source: Neal, "Annealed importance sampling" (Statistics and Computing 2001), section 2.

    Args:
        short: A model of the method `nt-ebm`.
        rng: Randomness of the draws and the steps.
        draws: How many weights there are.
        temperatures: T.
        batch: How many draws are computed at once.

    Raises:
        UsageError: for a model without a flow, or a number out of range.
    """
    flow = flow_of(short)
    check("draws", draws, at_least=2)
    check("temperatures", temperatures, at_least=1)
    step = short.sampler if temperatures == 1 else short.sampler.with_steps(1)
    if temperatures > 1 and step.promises.temperature != 1:
        raise UsageError("temperatures above 1 need a sampler whose steps leave exp(-E) invariant, as adaptive-hmc")
    parts = []
    for first in range(0, draws, batch):
        z = torch.randn(min(batch, draws - first), *flow.shape, generator=rng, device=rng.device)
        weight = torch.zeros(len(z), dtype=torch.float64)  # on the CPU: not every device has this dtype
        for index in range(1, temperatures + 1):
            with torch.no_grad():
                weight -= (energy_values(short.energy, z) - half_square(z)).cpu().double() / temperatures
            if index < temperatures:
                z = step.sample(annealed(short.energy, index / temperatures), z, rng)
        parts.append(weight)
    weights = torch.cat(parts)
    value = float(weights.logsumexp(0)) - math.log(draws)
    relative = (weights - value).exp()
    ess = float(relative.sum().square() / relative.square().sum())
    return Normaliser(value, float(relative.std()) / math.sqrt(draws), ess, draws)


def annealed(energy: EnergyFn, share: float) -> EnergyFn:
    """The energy `share (U(z) - |z|²/2) + |z|²/2`."""
    return lambda z: share * energy_values(energy, z) + (1 - share) * half_square(z)


def half_square(z: Tensor) -> Tensor:
    """|z|² / 2 `(B,)` of `z` `(B, *shape)`."""
    return z.square().flatten(1).sum(1) / 2


def flow_of(short: ShortRun) -> Flow:
    """The flow of a model.

    Raises:
        UsageError: for a model of another method.
    """
    if not isinstance(short.decode, Flow):
        raise UsageError("this model has no flow: a likelihood is known of models of the method nt-ebm only")
    return short.decode
