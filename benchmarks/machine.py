"""The machine that is measured: what can be compared on it, and how much memory was needed there."""

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
    "tf32": "tf32 is left out: it takes a GPU with tensor cores.",
    "bf16": "bf16 is left out: it is emulated here, many times slower than fp32; with --all it is measured.",
}


def best_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def facts(device: torch.device) -> dict[str, Any]:
    """What a reader must know of the machine, and nothing that names it."""
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
    """The precisions to measure, and a line for each that is left out; `everything` has bf16 emulated if need be."""
    measured = tuple(one for one in PRECISIONS if one in supported(device) or (everything and one == "bf16"))
    return measured, [LEFT_OUT[one] for one in PRECISIONS if one not in measured]


def in_a_child(function: Callable[..., T], *arguments: Any) -> T:
    """What `function` returns in a process of its own: this one's memory has a past."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_of(turn: Callable[[int], object], steps: int, device: torch.device) -> int | None:
    """Bytes that `turn(steps)` held at its peak beyond what was held before it, whatever a first call keeps included.

    On a CPU this holds in a fresh process. It is read from Linux there: not with `getrusage`, whose peak is also that
    of the parent.

    Returns:
        None on a CPU without Linux.
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
    """Bytes of a field of the process's status: VmRSS, or its peak VmHWM."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024
