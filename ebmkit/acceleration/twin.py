"""A frozen copy of an energy, and the recordings of the passes through it."""

import copy
import threading
import warnings
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from ebmkit.acceleration.copying import copied, form, laid_out_as, line, tensors
from ebmkit.acceleration.judging import hold
from ebmkit.acceleration.precision import Precision
from ebmkit.acceleration.recording import Recording, Unrecordable
from ebmkit.acceleration.replaying import Replay, Way
from ebmkit.acceleration.tracing import Trace, alike
from ebmkit.acceleration.verifying import verified
from ebmkit.errors import Notice
from ebmkit.interfaces import energy_values, eval_mode, value_and_grad
from ebmkit.modes import one_thread, random_state_restored

SHAPES = 8  # this many recordings are kept; the oldest goes first
ABSENT: Any = object()


class Twin:
    """A frozen copy of an energy in evaluation mode, laid out as its device computes fastest.

    Which way its passes are computed is decided by the operations of the energy, by shapes and by the machine, never by
    a comparison of rounded values: so a run that is resumed computes as it would have without a stop.

    Args:
        energy: What to copy.
        precision: With bf16 there is a second copy, in bfloat16, which the passes go through.
        compile: Whether torch's compiler makes a program of the recorded passes.

    Raises:
        Uncopied: with the reason.
    """

    def __init__(self, energy: nn.Module, precision: Precision, compile: bool) -> None:
        self.plain = copied(energy)
        # The units of a GPU for lower precisions want the channels last, those for fp32 do not.
        if precision != "fp32" or self.device.type == "cpu":
            channels_last(self.plain)
        self.dtype = torch.bfloat16 if precision == "bf16" else None
        self.network = copy.deepcopy(self.plain).bfloat16() if precision == "bf16" else self.plain
        self.ways: tuple[Way, ...] = ("compiled", "packed", "recorded") if compile else ("packed", "recorded")
        self.original, self.form = energy, form(energy)
        self.replays: dict[Any, Replay | None] = {}
        self.probe = torch.empty(0)
        self.witness: Trace | None = None
        self.lock = threading.RLock()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next((one.device for one in tensors(self.plain)), torch.device("cpu"))

    def follows(self, energy: nn.Module) -> bool:
        """Copy the weights and buffers that `energy` has now, and say whether it then is the same energy.

        Weights are not all that an energy may consist of, and a recording does not see what else changes. So two
        examples that chains were at go through the energy, whose operations must be those of the copy.
        """
        self.original = energy
        if self.form != form(energy):
            return False
        with torch.no_grad(), one_thread(energy):
            for network in {id(one): one for one in (self.plain, self.network)}.values():
                for mine, theirs in zip(tensors(network), tensors(energy), strict=True):
                    mine.copy_(theirs)
        for replay in self.replays.values():
            if replay is not None:
                replay.outdate()
        # Looked at twice where need be, for what fills a cache does so in its first pass.
        return self.witness is None or any(alike(self.witness, trace(energy, self.probe)) for _ in range(2))

    def passes(self, network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """E(x) and dE/dx by autograd, through one of our networks."""
        if self.dtype is None:
            return value_and_grad(network, x)
        value, gradient = value_and_grad(network, x.to(self.dtype))
        return value.to(x.dtype), gradient.to(x.dtype)

    def replay(self, x: Tensor) -> Replay | None:
        """The recorded passes for examples like `x`; none where they cannot be recorded."""
        key = (x.shape, x.dtype, x.device, torch.is_autocast_enabled(x.device.type))
        found = self.replays.get(key, ABSENT)
        if found is ABSENT:
            with self.lock:
                found = self.replays.get(key, ABSENT)
                if found is ABSENT:
                    found = self.first(x, key)
        replay: Replay | None = found
        return replay

    def first(self, x: Tensor, key: Any) -> Replay | None:
        """Record for a shape that was not seen before."""
        with torch.inference_mode(False), torch.no_grad():
            x = x.detach().clone(memory_format=torch.contiguous_format)
            replay = self.recorded(x)
            if self.witness is None and replay is not None:
                self.probe, self.witness = self.witnessed(x)
        if len(self.replays) == SHAPES:
            del self.replays[next(iter(self.replays))]
        self.replays[key] = replay
        return replay

    def recorded(self, x: Tensor) -> Replay | None:
        """A new recording, in the first way that works."""
        failed: tuple[Way, Exception] | None = None
        replay = None
        try:
            recording = self.recording(x)
        except Exception as error:  # torch's compiler and third parties' energies raise what they like
            failed = "recorded", error
        else:
            for way in self.ways:
                try:
                    replay = self.attempt(recording, x, way)
                    break
                except Exception as error:
                    failed = way, error
        if failed is not None:
            with random_state_restored(x.device):
                value_and_grad(self.original, x)  # what is wrong with the energy itself comes out here
            name = f"the passes of {type(self.plain).__name__} for shape {tuple(x.shape)}"
            notice(f"{name} cannot be {failed[0]} ({line(failed[1])}): slower, same results")
        return replay

    def recording(self, x: Tensor) -> Recording:
        """The passes through the network, written down.

        Raises:
            Unrecordable: if the passes do not show in their operations.
        """
        with random_state_restored(x.device), eval_mode(self.original):
            recording = verified(self.passes, self.network, x)
        own = {id(one) for one in tensors(self.original)}
        if any(id(one) in own for one in recording.tensors.values()):
            raise Unrecordable("its copy computes on the energy itself")
        return recording

    def attempt(self, recording: Recording, x: Tensor, way: Way) -> Replay:
        """The recording made ready to be run in one way, after it was run once."""
        replay = Replay(recording, x, way)
        if way == "compiled":
            hold(replay, Replay(recording, x, "recorded"), x, self.dtype or x.dtype)
        replay(x)
        return replay

    def witnessed(self, x: Tensor) -> tuple[Tensor, Trace | None]:
        """What shows whether the energy still is the same, and where: at two examples, if those will do."""
        for probe in (x[:2].clone(), x):
            with suppress(Exception):  # some energies take batches of one size only
                network = laid_out_as(copied(self.plain), self.original)
                trace(network, probe)
                return probe, trace(network, probe)
        return x, None


def trace(energy: nn.Module, x: Tensor) -> Trace:
    """The operations of an energy at `x`, forward, in evaluation mode."""
    with torch.inference_mode(False), random_state_restored(x.device), eval_mode(energy), torch.enable_grad():
        leaf = x.detach().requires_grad_()
        seen = Trace([leaf, *tensors(energy)])
        # What stands around a chain need not stand around this.
        with torch.autocast(x.device.type, enabled=False), seen:
            energy_values(energy, leaf)
    seen.alive.clear()
    return seen


def channels_last(module: nn.Module) -> None:
    """Lay the weights of two-dimensional convolutions out with their channels last in memory; values stay."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def notice(text: str) -> None:
    """Warn whoever listens."""
    warnings.warn(text, Notice, stacklevel=2)
