"""Frozen copies of an energy."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ebmkit.acceleration.recording import Unrecordable
from ebmkit.modes import duplicated


class Uncopied(Exception):
    """The energy has no copy of its own."""


def copied(energy: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode that shares no tensor with the energy.

    Raises:
        Uncopied: with the reason.
    """
    try:
        twin = duplicated(energy)
        if {id(one) for one in tensors(twin)} & {id(one) for one in tensors(energy)}:
            raise Uncopied("its copy shares its weights")
        for parameter in twin.parameters():
            parameter.requires_grad_(False)
        return twin.eval()
    except Uncopied:
        raise
    except Exception as error:  # whatever a third party's attributes raise when they are copied
        raise Uncopied(line(error)) from error


def unsized(energy: nn.Module) -> bool:
    """Whether a lazy layer has no sizes yet: it gets them from the examples of its first pass."""
    return any(is_lazy(one) for one in tensors(energy))


def laid_out_as(network: nn.Module, other: nn.Module) -> nn.Module:
    """Lay the weights of a network out in memory as those of another; values stay."""
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        mine.data = torch.empty_like(theirs).copy_(mine)
    return network


def form(module: nn.Module) -> list[tuple[Any, ...]]:
    """Which parts a module has, and of what form its weights and buffers are."""
    kinds = [(type(one),) for one in module.modules()]
    return [*kinds, *((one.shape, one.dtype, one.device) for one in tensors(module))]


def tensors(module: nn.Module) -> list[Tensor]:
    """Weights and buffers."""
    return [*module.parameters(), *module.buffers()]


def line(error: Exception) -> str:
    """An error as one line."""
    kind = "" if isinstance(error, Unrecordable) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())[:120]}"
