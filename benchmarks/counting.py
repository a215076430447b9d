"""Counts of what an update does: operations, bytes that a graph keeps, bytes that are held, bytes that are sent."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ebmkit.methods.maximum_likelihood import Trainer

BYTES_SENT = 200  # where `struct tcp_info` of Linux has tcpi_bytes_sent


class Operations(TorchDispatchMode):
    """Counts floating-point operations by the formulas of `torch.utils.flop_counter`.

    `FlopCounterMode` itself cannot look at `torch.autograd.grad` by an input of the network.
    """

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.count += formula(*args, **(kwargs or {}), out_val=found)
        return found


@contextmanager
def kept_bytes() -> Iterator[dict[int, int]]:
    """The bytes of every storage that autograd keeps for the way back, by its address."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no address is used twice

    def keep(x: Tensor) -> Tensor:
        alive.append(x)
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        yield kept
    alive.clear()


def held_bytes(trainer: Trainer) -> int:
    """The bytes of all tensors that a trainer holds between updates."""
    weights = list(trainer.energy.parameters())
    moments = [value for state in trainer.optimizer.state.values() for value in state.values()]
    average = [] if trainer.averaged is None else list(trainer.averaged.parameters())
    gradients = [one.grad for one in weights if one.grad is not None]
    held = [*weights, *gradients, *moments, *average, *trainer.init.state_dict().values()]
    return sum(one.nbytes for one in held if isinstance(one, Tensor))


def sent_so_far() -> int:
    """The bytes that this process has sent by all of its TCP connections, as Linux counts them."""
    total = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            total += struct.unpack_from("Q", info, BYTES_SENT)[0]
    return total
