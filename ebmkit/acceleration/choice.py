"""Which precision, and whether to compile: as asked for, or as measured on the machine at hand."""

import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.acceleration.precision import Precision, supported
from ebmkit.errors import Notice, UsageError

Asked = Literal["auto", "fp32", "bf16", "tf32"]
Compile = Literal["auto", "on", "off"]

ROUNDS = 5  # timed passes of each contender, in turn
GAIN = 1.1  # a contender must be this much faster than the first, fp32 or what was asked for: less is noise of a clock
WORTH = 600.0  # seconds of a whole run in passes, below which compiling takes longer than it saves


@dataclass(frozen=True)
class Choice:
    """How chains pass through the network, and one line on why where that was measured."""

    precision: Precision
    compile: bool
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.precision}{' compiled' if self.compile else ''}"

    def accelerated(self, energy: nn.Module) -> Accelerated:
        """The energy's stand-in that computes so."""
        return Accelerated(energy, precision=self.precision, compile=self.compile)


def choose(
    energy: nn.Module, x: Tensor, *, precision: Asked, compile: Compile, passes: int | None, threads: int
) -> Choice:
    """The choice that was asked for, or the fastest of a short trial at `x`.

    A precision that the device has no units for becomes fp32, with a `Notice`. A trial compiles only on a GPU, where
    the whole run is long: on a CPU compiled passes were never faster than recorded ones.

    Args:
        energy: The network, on its device.
        x: Examples as chains will have, `(B, *shape)`.
        precision: One of the precisions, or auto.
        compile: on, off, or auto.
        passes: How many passes the whole run makes; None where nobody can say.
        threads: How many threads of the CPU the run has.
    """
    there = supported(x.device)
    if precision != "auto" and precision not in there:
        warnings.warn(f"{x.device} has no units for {precision}: chains are computed in fp32", Notice, stacklevel=2)
        precision = "fp32"
    asked = [Choice(one, compile == "on") for one in (there if precision == "auto" else (precision,))]
    undecided = compile == "auto" and x.device.type == "cuda"
    measured = timed(asked, energy, x, threads) if len(asked) > 1 or undecided else dict.fromkeys(asked, 0.0)
    if undecided:
        fastest = min(measured, key=lambda one: measured[one])
        if measured[fastest] * (passes or 0) > WORTH:
            measured |= timed([Choice(fastest.precision, True)], energy, x, threads)
    first, *others = measured
    best = min(others, key=lambda one: measured[one], default=first)
    if measured[best] * GAIN > measured[first]:
        best = first
    reason = f"fp32: {x.device} has units for no other" if precision == "auto" and len(there) == 1 else ""
    if others:
        figures = ", ".join(f"{one} {1000 * seconds:.3g} ms" for one, seconds in measured.items())
        reason = f"{best} was chosen; one pass took: {figures}"
    return Choice(best.precision, best.compile, reason)


def timed(choices: list[Choice], energy: nn.Module, x: Tensor, threads: int) -> dict[Choice, float]:
    """Seconds of one pass, the median of a few rounds in which the contenders take turns."""
    contenders = {}
    for choice in choices:
        with suppress(UsageError):  # a precision that this energy cannot have
            contenders[choice] = choice.accelerated(energy).value_and_grad
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        # The first round records and compiles, and does not count.
        _, *rounds = [{choice: clock(one, x) for choice, one in contenders.items()} for _ in range(ROUNDS + 1)]
    finally:
        torch.set_num_threads(before)
    return {choice: statistics.median(one[choice] for one in rounds) for choice in contenders}


def clock(call: Callable[[Tensor], object], x: Tensor) -> float:
    """Seconds until the device is done with `call(x)`."""
    wait(x.device)
    began = time.perf_counter()
    call(x)
    wait(x.device)
    return time.perf_counter() - began


def wait(device: torch.device) -> None:
    """Return when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
