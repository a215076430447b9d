"""Comparable times: contenders take turns, and only ratios within a round are used.

The speed of a machine drifts by more than most contenders differ, but hardly within a round.
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
    """Median and quartiles over rounds."""

    median: float
    low: float
    high: float

    def times(self, factor: float) -> "Spread":
        """The same in other units."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def time_in_turns(
    turns: Mapping[str, Turn],
    steps: int,
    rounds: int,
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of `turn(steps)` in each round, in the order A B C A B C, after an untimed warm-up of each."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():
        turn(warm_up)
    for _ in range(rounds):
        for name, turn in turns.items():
            synchronize()
            began = clock()
            turn(steps)
            synchronize()
            seconds[name].append(clock() - began)
    return seconds


def synchronize() -> None:
    """Wait for the GPU if there is one: when a call returns, its work has only been queued."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: list[float]) -> Spread:
    """Median and quartiles of at least two values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(above: list[float], below: list[float]) -> Spread:
    """Median and quartiles of the ratios within rounds; a ratio of medians would suffer from drift."""
    return spread([one / other for one, other in zip(above, below, strict=True)])


def product(size: int, precision: Precision, device: torch.device) -> Turn:
    """A turn of square matrix products, whose FLOP/s are the ceiling for networks on this machine."""
    a, b = torch.randn(2, size, size, device=device).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    out = torch.empty_like(a)

    def turn(steps: int) -> None:
        with arithmetic(precision, device):
            for _ in range(steps):
                torch.mm(a, b, out=out)

    return turn


def work(energy: nn.Module, x: Tensor) -> int:
    """Floating-point operations of the products and convolutions of E and dE/dx at `x` `(B, *shape)`.

    What a contender computes beyond that, such as the same gradient twice, does not count as work.
    """
    frozen, leaf = copy.deepcopy(energy).requires_grad_(False), x.clone().requires_grad_()
    with FlopCounterMode(display=False) as counter:
        # The hooks of the counter do not work with autograd.grad.
        frozen(leaf).sum().backward()
    return int(counter.get_total_flops())


def launches(turn: Turn, steps: int) -> float:
    """Launches of kernels, or of recorded graphs of kernels, per step."""
    turn(steps)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        turn(steps)
        synchronize()
    sent = [event for event in profile.key_averages() if "LaunchKernel" in event.key or "GraphLaunch" in event.key]
    return float(sum(event.count for event in sent)) / steps
