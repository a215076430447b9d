"""The sign: p(x) ∝ exp(-E(x)), so that chains go down in energy."""

import math

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import Sampler
from ebmkit.testing.kit import Subject, require
from ebmkit.testing.statistics import LIMIT

# Chains start inside every usual range of examples, so that a clamp leaves room on both sides.
START, COUNT = 0.5, 1000
# Small steps, high temperatures and narrow proposals respond only to steep slopes.
SLOPES = (1.0, 1e3, 1e6, 1e9, 1e12)


def chains_go_down_in_energy(subject: Subject) -> None:
    """On E(x) = c sum(x) chains end lower than on -c sum(x), with the same noise, for some c from 1 to 1e12."""
    downwards = False
    for slope in SLOPES:
        apart, found = _apart(subject.make(), slope)
        require(
            found <= LIMIT,
            f"on a slope of {slope:g} the chains ended {apart:.3g} higher than on the opposite slope "
            f"(z = {found:.3g}); they should go down: the drift is -step_size * gradient",
        )
        downwards = downwards or found < -LIMIT
    require(
        downwards,
        f"on slopes from {SLOPES[0]:g} to {SLOPES[-1]:g} the chains ended as on the opposite ones: the chain ignores "
        f"the energy; let each step depend on its gradient or on its value",
    )


def _apart(sampler: Sampler, slope: float) -> tuple[float, float]:
    """How much higher chains end where the energy rises than where it falls, and its z; z is 0 if they diverged."""
    start = torch.full((COUNT, 2), START, dtype=torch.float64)

    def end(factor: float) -> Tensor:
        return sampler.sample(lambda x: factor * x.sum(1), start, Generator().manual_seed(1)).mean(1)

    apart = end(slope) - end(-slope)
    mean, error = float(apart.mean()), float(apart.std()) / math.sqrt(len(apart))
    if not math.isfinite(mean) or mean == 0:
        return mean, 0.0
    return mean, mean / error if error else math.copysign(math.inf, mean)
