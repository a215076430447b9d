"""Dual averaging: adapts step sizes until the acceptance probability is at its target."""

import math

import torch
from torch import Tensor

GAMMA, OFFSET, DECAY = 0.05, 10, 0.75  # gamma, t_0 and kappa of the paper, with its values


class DualAveraging:
    """Nesterov's dual averaging of log step sizes, for each chain separately.

    After the m-th step, which had acceptance probability α_m, the step size is

        log ε_m = log(10 ε_0) - sqrt(m) / γ * 1 / (m + t_0) * sum_{i <= m} (target - α_i)

    and its average is `log ε̄_m = m^-κ log ε_m + (1 - m^-κ) log ε̄_{m-1}`.

    Source: Hoffman and Gelman, "The No-U-Turn Sampler" (JMLR 2014), section 3.2, equation 6 and algorithm 5.
    """

    def __init__(self, start: Tensor, target: float) -> None:
        """Adapt from the step sizes `start` `(B,)` to the acceptance probability `target`."""
        self._goal = (10 * start).log()
        self._target = target
        self._missing = torch.zeros_like(start)
        self._log_step = self._log_average = start.log()
        self._count = 0

    def update(self, acceptance: Tensor) -> None:
        """Adapt to the acceptance probabilities `(B,)` of a step of the sizes `current`."""
        self._count += 1
        self._missing = self._missing + (self._target - acceptance)
        gain = math.sqrt(self._count) / (GAMMA * (self._count + OFFSET))
        self._log_step = self._goal - gain * self._missing
        weight = self._count**-DECAY
        self._log_average = weight * self._log_step + (1 - weight) * self._log_average

    @property
    def current(self) -> Tensor:
        """The step sizes ε_m `(B,)` to use while they are adapted."""
        return self._log_step.exp()

    @property
    def average(self) -> Tensor:
        """The averaged step sizes ε̄_m `(B,)` to use after the warmup."""
        return self._log_average.exp()
