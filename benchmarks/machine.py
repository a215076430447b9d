"""The machine of a benchmark: its description, its precisions, and its peak memory."""

import os
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch

from ebmkit.acceleration.precision import PRECISIONS, Precision, supported

STATUS = Path("/proc/self/status")
T = TypeVar("T")
LEFT_OUT = {
    "tf32": "tf32 is left out: it needs a GPU with tensor cores.",
    "bf16": "bf16 is left out: it is emulated here, many times slower than fp32; --all measures it.",
}


def best_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def facts(device: torch.device) -> dict[str, Any]:
    """What a reader needs to know about the machine; nothing that identifies it."""
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bf16 units": "bf16" in supported(device),
    }


def precisions(device: torch.device, *, everything: bool) -> tuple[tuple[Precision, ...], list[str]]:
    """The precisions to measure, and a line for each one left out; with `everything` bf16 is measured even emulated."""
    measured = tuple(one for one in PRECISIONS if one in supported(device) or (everything and one == "bf16"))
    return measured, [LEFT_OUT[one] for one in PRECISIONS if one not in measured]


def in_a_child(function: Callable[..., T], *arguments: Any) -> T:
    """The result of `function` in a new process, whose peak memory is not yet that of earlier work."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_of(turn: Callable[[int], object], steps: int, device: torch.device) -> int | None:
    """Peak memory of `turn(steps)` in bytes, beyond the memory in use before it; includes what a first call allocates.

    On a CPU it is valid only in a new process. It is read from /proc and not with `getrusage`, whose peak includes that
    of the parent process.

    Returns:
        The peak; None on a CPU without /proc, that is, without Linux.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        turn(steps)
        return torch.cuda.max_memory_allocated() - held
    if not STATUS.exists():
        return None
    held = resident("VmRSS")
    turn(steps)
    return max(resident("VmHWM") - held, 0)


def resident(field: str) -> int:
    """A field of /proc/self/status in bytes: VmRSS, the resident memory, or VmHWM, its peak."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024
