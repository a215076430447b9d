"""An energy's stand-in for chains."""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ebmkit.acceleration.facts import facts, same
from ebmkit.acceleration.precision import PRECISIONS, Precision, arithmetic
from ebmkit.acceleration.replaying import Replay, Way
from ebmkit.errors import Notice, UsageError
from ebmkit.interfaces import evaluating, value_and_grad

SHAPES = 8  # so many recordings are kept; the oldest goes first


class Accelerated(nn.Module):
    """Stands for an energy in chains: the same E and dE/dx, faster.

    It computes on a twin of the energy, whose weights are frozen and laid out for the device. For each shape of
    examples the passes through the twin, forward and backward, are recorded once and then run again without autograd;
    what depends on the weights alone is computed once per chain. The chain's state and noise stay as they are; with
    bf16 only the passes are rounded.

    Use it as `Trainer(..., accelerate=Accelerated(energy).refreshed)`, or hand `refreshed(energy)` to a sampler.

    What cannot be done goes on without, after one `Notice`: an energy whose operations depend on its numbers is
    computed by autograd; one that cannot be copied, as it is.

    Args:
        energy: Any module `(B, *shape) -> (B,)` or `(B, 1)`, on its device.
        precision: fp32 leaves the numbers as they are; bf16 passes bfloat16 through the network; tf32 rounds what a GPU
            multiplies to 10 bits.
        compile: Whether torch's compiler takes up the recorded passes; on a GPU they then are one captured graph.

    Raises:
        UsageError: for an unknown precision, or bf16 for an energy that cannot be copied.
    """

    def __init__(self, energy: nn.Module, *, precision: Precision = "fp32", compile: bool = False) -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision must be {' | '.join(PRECISIONS)}, not '{precision}'")
        super().__init__()
        self.precision, self.compiles = precision, compile
        self.dtype = torch.bfloat16 if precision == "bf16" else None
        self.twin, self.copied = energy, False
        self.replays: dict[Any, Replay | None] = {}
        self.adopt(energy)
        self.eval()

    def adopt(self, energy: nn.Module) -> None:
        """Make a twin of `energy` anew and forget what was recorded."""
        self.facts = facts(energy)
        self.replays.clear()
        try:
            self.twin, self.copied = twin(energy, self.precision), True
        except Exception as error:  # whatever a third party's attributes raise when they are copied
            reason = f"{type(energy).__name__} cannot be copied ({_line(error)})"
            if self.dtype is not None:
                raise UsageError(f"precision bf16 computes on a copy of the energy, but {reason}: use fp32") from error
            self.twin, self.copied = energy, False
            self.notice(f"{reason}: its passes are not recorded")

    def refreshed(self, energy: nn.Module) -> "Accelerated":
        """Take up the weights and buffers that `energy` has now: once per chain, not once per step."""
        if not self.copied:
            self.twin = energy
            return self
        if not same(self.facts, facts(energy)):
            self.adopt(energy)
        with torch.no_grad():
            for mine, theirs in zip(_tensors(self.twin), _tensors(energy), strict=True):
                mine.copy_(theirs)
        for replay in self.replays.values():
            if replay is not None:
                replay.outdate()
        return self

    @property
    def piecewise_linear(self) -> bool:
        """What the energy says of itself."""
        return bool(getattr(self.twin, "piecewise_linear", False))

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` or `(B, 1)` in the dtype of `x`."""
        with evaluating(self.twin), arithmetic(self.precision, x.device):
            energy: Tensor = self.twin(x.to(self.dtype or x.dtype))
        return energy.to(x.dtype)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """E(x) `(B,)` and dE/dx `(B, *shape)`, in the dtype of `x`."""
        with arithmetic(self.precision, x.device):
            if x.requires_grad or not self.copied:
                return self.passes(x)
            with torch.inference_mode(False), torch.no_grad():
                replay = self.replay(x)
                if replay is not None:
                    value, gradient = replay(x.contiguous())
                    return value, gradient
            return self.passes(x)

    def passes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same by autograd."""
        value, gradient = value_and_grad(self.twin, x.to(self.dtype or x.dtype))
        return value.to(x.dtype), gradient.to(x.dtype)

    def replay(self, x: Tensor) -> Replay | None:
        """The recorded passes for examples like `x`; none where they cannot be recorded."""
        key = (x.shape, x.dtype, x.device)
        if key in self.replays:
            return self.replays[key]
        if len(self.replays) == SHAPES:
            del self.replays[next(iter(self.replays))]
        self.replays[key] = self.recorded(x.clone(memory_format=torch.contiguous_format))
        return self.replays[key]

    def recorded(self, x: Tensor) -> Replay | None:
        """A new recording, as well as it goes."""
        ways: tuple[Way, ...] = ("compiled", "packed", "recorded") if self.compiles else ("packed", "recorded")
        for way in ways:
            try:
                replay = Replay(self.passes, x, way)
            except Exception as error:  # torch's compiler and third parties' energies raise what they like
                failed, reason, replay = way, _line(error), None
            else:
                break
        if replay is None or way != ways[0]:
            self.passes(x)  # what is wrong with the energy itself comes out here
            passes = f"the passes of {type(self.twin).__name__} for shape {tuple(x.shape)}"
            self.notice(f"{passes} cannot be {failed} ({reason}): slower, same results")
        return replay

    def notice(self, text: str) -> None:
        """Tell whoever listens to warnings."""
        warnings.warn(text, Notice, stacklevel=2)


def twin(energy: nn.Module, precision: Precision) -> nn.Module:
    """A frozen copy in evaluation mode, laid out as its device computes fastest in this precision."""
    copied = copy.deepcopy(energy).requires_grad_(False).eval()
    if precision == "bf16":
        copied.bfloat16()
    # The units of a GPU for lower precisions want the channels last, those for fp32 do not.
    if precision != "fp32" or all(one.device.type == "cpu" for one in _tensors(copied)):
        channels_last(copied)
    return copied


def channels_last(module: nn.Module) -> None:
    """Lay the weights of two-dimensional convolutions out with their channels last in memory; values stay."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
