"""The noise levels of a diffusion: how examples become noise, and what undoes one level."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebmkit import check

FINE = 1000  # steps of the fine schedule that the levels are taken from
FIRST, LAST = 1e-4, 0.02  # the variances of its first and its last step


@dataclass(frozen=True)
class Levels:
    """T noise levels, from x_0, nearly an example, to x_T, nearly N(0, I).

    With u ~ N(0, I), an example x becomes `x_t = kept[t] x + spread[t] u`, and `x_{t+1} = a[t] x_t + sigma[t] u` with
    `a[t]² + sigma[t]² = 1`. What is learned at level t is the density of `y = scale[t] x_t`; a chain that undoes the
    level samples `p(y | x_{t+1}) ∝ exp(-E(y, t) - pull[t] |x_{t+1} - y|² / 2)`.

    All are tensors `(T,)` on one device.

    Attributes:
        a: The factor of x_t in x_{t+1}.
        sigma: The standard deviation of the noise that x_{t+1} adds.
        kept: The factor of the example in x_t.
        spread: The standard deviation of all the noise in x_t.
        scale: The factor of x_t in y: a, and 1 at the highest level.
        pull: 1 / sigma², and 0 at the highest level, whose chains sample the density of y itself.
        length: The unit of length of chains, `sigma[t] sqrt(spread[t] / spread[0])`.
    """

    a: Tensor
    sigma: Tensor
    kept: Tensor
    spread: Tensor
    scale: Tensor
    pull: Tensor
    length: Tensor

    @property
    def count(self) -> int:
        """T."""
        return len(self.a)


def levels_of(first: float, a: Tensor) -> Levels:
    """The levels of which x_0 keeps the factor `first` of an example, and x_{t+1} the factor `a[t]` of x_t.

    Args:
        first: In (0, 1).
        a: In (0, 1), `(T,)`.
    """
    sigma = (1 - a.square()).sqrt()
    kept = first * torch.cat([a.new_ones(1), a[:-1].cumprod(0)])
    spread = (1 - kept.square()).sqrt()
    scale, pull = a.clone(), sigma.square().reciprocal()
    scale[-1], pull[-1] = 1, 0
    return Levels(a, sigma, kept, spread, scale, pull, sigma * (spread / spread[0]).sqrt())


def paper_levels(count: int, device: torch.device) -> Levels:
    """The levels of the paper: every `1000 // (2 (T - 1))`-th of 1,000 steps of linearly growing noise, and the last.

    Source: Gao et al., ICLR 2021; the schedule, the unit of length and the highest level are those of its code,
    `model.py`.

    Args:
        count: T.
        device: Where the tensors are.

    Raises:
        UsageError: unless T is from 2 to 501.
    """
    check("levels", count, at_least=2)
    check("levels", count, at_most=FINE // 2 + 1)
    every = FINE // (2 * (count - 1))
    kept = (1 - torch.linspace(FIRST, LAST, FINE, dtype=torch.float64)).sqrt().cumprod(0)
    ends = kept[[*(level * every for level in range(count)), FINE - 1]]
    found = levels_of(float(ends[0]), ends[1:] / ends[:-1])
    return Levels(*(value.float().to(device) for value in vars(found).values()))
