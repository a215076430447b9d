"""The device, the threads and the memory that a run uses."""

import ctypes
import platform

import torch
from torch import nn

from ebmkit.acceleration.choice import Choice
from ebmkit.acceleration.twin import channels_last
from ebmkit.config.recipe import Recipe
from ebmkit.config.train_settings import TrainSettings
from ebmkit.errors import UsageError
from ebmkit.processes import Processes

# From malloc.h; the last from malloc.c on 64-bit machines.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD = -1, -3, 32 * 2**20
# Parameters up to which one thread is used: the passes are so short that a second one only waits.
SMALL = 100_000


def place_on(energy: nn.Module, device: torch.device) -> None:
    """Move an energy to a device; on a CPU its weights are stored with the channels last, which is faster."""
    energy.to(device)
    if device.type == "cpu":
        channels_last(energy)


def pick_device(name: str, processes: Processes | None = None) -> torch.device:
    """The device of that name; `auto` is the first of cuda, mps and cpu that this machine has.

    Of several processes each has the GPU of its number on its machine.

    Raises:
        UsageError: for a device that this machine does not have, or that several processes cannot use.
    """
    if processes is not None and processes.size > 1:
        return own_device(name, processes)
    cuda, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    there = [*(["cuda"] if cuda else []), *(f"cuda:{n}" for n in range(cuda)), *(["mps"] if mps else []), "cpu"]
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        raise UsageError(f"train.device: '{name}' is not on this machine; it has: auto, {', '.join(there)}")
    return torch.device(name)


def own_device(name: str, processes: Processes) -> torch.device:
    """The device of one of several processes: a GPU of its own, or the CPU.

    Raises:
        UsageError: for any other device, or if there are fewer GPUs than processes.
    """
    cuda, number = torch.cuda.device_count(), processes.local_rank
    if name == "cpu" or (name == "auto" and not cuda):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise UsageError(f"train.device: {processes.size} processes compute on auto, cuda or cpu, not on '{name}'")
    if number >= cuda:
        raise UsageError(
            f"train.device: there is no GPU for process {number} of this machine, which has {cuda}: start one process "
            "for each GPU, or write -s train.device=cpu"
        )
    torch.cuda.set_device(number)
    return torch.device(f"cuda:{number}")


def occupy(threads: int) -> None:
    """Set the number of torch's threads and, if the C library is glibc, keep freed memory in the process.

    Every step of a chain allocates what the step before freed. By default Linux reclaims large pieces in between and
    zeroes them again page by page, which takes 5 % of a step of the paper's network.
    """
    torch.set_num_threads(threads)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def measured(recipe: Recipe, choice: Choice) -> Recipe:
    """The recipe with the precision and compilation of `choice` in place of `auto`, so that the run can be repeated."""
    for key, value in {"precision": choice.precision, "compile": "on" if choice.compile else "off"}.items():
        if recipe.sections["train"][key] != value:
            recipe = recipe.with_value("train", key, value, "measured")
    return recipe


def threads_for(energy: nn.Module, train: TrainSettings) -> int:
    """How many CPU threads to use: the setting, or one for energies of up to SMALL parameters, else torch's number."""
    parameters = sum(parameter.numel() for parameter in energy.parameters())
    return train.threads or (1 if parameters <= SMALL else torch.get_num_threads())
