"""What a run uses of the machine at hand: its device, its threads, its units for lower precisions."""

import ctypes
import platform

import torch
from torch import Tensor, nn

from ebmkit.acceleration.choice import Choice, choose
from ebmkit.acceleration.twin import channels_last
from ebmkit.errors import UsageError
from ebmkit.interfaces import Sampler
from ebmkit.loop import Train
from ebmkit.resolve import Recipe

# Of malloc.h and, for the largest, of malloc.c on machines of 64 bits.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD = -1, -3, 32 * 2**20
# The passes of a smaller energy are so short that a second thread gains nothing, and waits for the first at full speed.
SMALL = 100_000


def place_on(energy: nn.Module, device: torch.device) -> None:
    """Move an energy to its device; on a CPU convolutions are faster with the channels last in memory."""
    energy.to(device)
    if device.type == "cpu":
        channels_last(energy)


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first of cuda, mps and cpu that is there.

    Raises:
        UsageError: for a name that is no device, or a device that is not there.
    """
    cuda, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    there = [*(["cuda"] if cuda else []), *(f"cuda:{n}" for n in range(cuda)), *(["mps"] if mps else []), "cpu"]
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        raise UsageError(f"train.device: '{name}' is not on this machine; it has: auto, {', '.join(there)}")
    return torch.device(name)


def occupy(threads: int) -> None:
    """Have this whole process compute with so many threads and, where its C library is glibc, keep what it frees.

    Each step of a chain asks for the memory that the last one gave back. Left alone, Linux takes the large pieces away
    in between, and clears them again page by page: 5 % of a step of the paper's network.
    """
    torch.set_num_threads(threads)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def settle(recipe: Recipe, train: Train, energy: nn.Module, sampler: Sampler, start: Tensor) -> Choice:
    """Choose how chains pass through the network; what was measured goes into the recipe, so that a run repeats it."""
    gradients = sampler.promises.gradients
    passes = gradients * train.iterations if gradients is not None else None
    threads = threads_for(energy, train)
    choice = choose(energy, start, precision=train.precision, compile=train.compile, passes=passes, threads=threads)
    found = {"precision": choice.precision, "compile": "on" if choice.compile else "off"}
    for key, value in found.items():
        if recipe.sections["train"][key] != value:
            recipe.sections["train"][key], recipe.origins["train", key] = value, "measured"
    return choice


def threads_for(energy: nn.Module, train: Train) -> int:
    """How many threads of the CPU to use: the setting, or a number by the size of the energy."""
    parameters = sum(parameter.numel() for parameter in energy.parameters())
    return train.threads or (1 if parameters <= SMALL else torch.get_num_threads())
