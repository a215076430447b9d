"""Seconds that can be compared: contenders take turns, and only ratios within a round count.

A machine's speed drifts by more than most contenders differ. Within a round it hardly does.
"""

import copy
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ebmkit.acceleration.precision import Precision, arithmetic

Turn = Callable[[int], object]


class Spread(NamedTuple):
    """The median of what rounds gave, and the quartiles."""

    median: float
    low: float
    high: float

    def times(self, factor: float) -> "Spread":
        """The same in other units."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def take_turns(turns: Mapping[str, Turn], steps: int, rounds: int, *, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds that `turn(steps)` took in each round, A B C A B C, after a short turn of each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():
        turn(warm_up)
    for _ in range(rounds):
        for name, turn in turns.items():
            settle()
            began = time.perf_counter()
            turn(steps)
            settle()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def settle() -> None:
    """Wait for the GPU, if there is one: its work is only queued when a call returns."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: list[float]) -> Spread:
    """Median and quartiles of at least two values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(above: list[float], below: list[float]) -> Spread:
    """Median and quartiles of the ratios of the rounds: not the ratio of the medians, which drift apart."""
    return spread([one / other for one, other in zip(above, below, strict=True)])


def product(size: int, precision: Precision, device: torch.device) -> Turn:
    """A turn that multiplies square matrices: what it makes of the machine is the ceiling for networks."""
    a, b = torch.randn(2, size, size, device=device).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    out = torch.empty_like(a)

    def turn(steps: int) -> None:
        with arithmetic(precision, device):
            for _ in range(steps):
                torch.mm(a, b, out=out)

    return turn


def work(energy: nn.Module, x: Tensor) -> int:
    """Floating-point operations of E and dE/dx at `x` `(B, *shape)`, those of products and convolutions.

    Whatever a contender computes beyond that, as the same gradient twice, is not work that was asked for.
    """
    frozen, leaf = copy.deepcopy(energy).requires_grad_(False), x.clone().requires_grad_()
    with FlopCounterMode(display=False) as counter:
        # Not autograd.grad: the counter's hooks cannot stand it.
        frozen(leaf).sum().backward()
    return int(counter.get_total_flops())


def launches(turn: Turn, steps: int) -> float:
    """Kernels, or whole recorded graphs of them, that the CPU sends to the GPU in a step."""
    turn(steps)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        turn(steps)
        settle()
    sent = [event for event in profile.key_averages() if "LaunchKernel" in event.key or "GraphLaunch" in event.key]
    return float(sum(event.count for event in sent)) / steps
