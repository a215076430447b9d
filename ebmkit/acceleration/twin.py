"""A frozen copy of an energy, and the recordings of the passes through it."""

import copy
import warnings
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ebmkit.acceleration.precision import Precision
from ebmkit.acceleration.recording import Unrecordable, record
from ebmkit.acceleration.replaying import Replay, Way, check_other_numbers
from ebmkit.errors import Notice
from ebmkit.interfaces import energy_values, eval_mode, value_and_grad

SHAPES = 8  # so many recordings are kept; the oldest goes first


class Uncopied(Exception):
    """The energy has no copy of its own."""


class Twin:
    """A frozen copy of an energy in evaluation mode, laid out as its device computes fastest.

    Args:
        energy: What to copy.
        precision: With bf16 there is a second copy, in bfloat16, which the passes go through.
        compile: Whether torch's compiler takes up the recorded passes.

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
        self.tolerance = 1e-3 if precision == "fp32" else 0.05
        self.ways: tuple[Way, ...] = ("compiled", "packed", "recorded") if compile else ("packed", "recorded")
        self.original, self.form = energy, form(energy)
        self.replays: dict[Any, Replay | None] = {}
        self.probe = torch.empty(0)
        self.witness: Replay | None = None

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next((one.device for one in tensors(self.plain)), torch.device("cpu"))

    def follows(self, energy: nn.Module) -> bool:
        """Take up the weights and buffers that `energy` has now, and say whether it then is the same energy.

        Weights are not all that an energy may consist of, and a recording does not see what else changes. So two
        examples that chains were at are given to the energy and to a recording that is as old as the others.
        """
        self.original = energy
        if self.form != form(energy):
            return False
        with torch.no_grad():
            for network in {id(one): one for one in (self.plain, self.network)}.values():
                for mine, theirs in zip(tensors(network), tensors(energy), strict=True):
                    mine.copy_(theirs)
        for replay in (*self.replays.values(), self.witness):
            if replay is not None:
                replay.outdate()
        if self.witness is None:
            return True
        with torch.inference_mode(False), forked(self.device), eval_mode(energy):
            with torch.enable_grad():
                theirs = energy_values(energy, self.probe.detach().requires_grad_()).detach()
            with torch.no_grad():
                mine, _ = self.witness(self.probe)
        return bool((mine - theirs).nan_to_num().norm() <= 1e-3 * theirs.nan_to_num().norm() + 1e-12)

    def passes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """E(x) and dE/dx by autograd."""
        if self.dtype is None:
            return value_and_grad(self.network, x)
        value, gradient = value_and_grad(self.network, x.to(self.dtype))
        return value.to(x.dtype), gradient.to(x.dtype)

    def replay(self, x: Tensor) -> Replay | None:
        """The recorded passes for examples like `x`; none where they cannot be recorded."""
        key = (x.shape, x.dtype, x.device, torch.is_autocast_enabled(x.device.type))
        if key not in self.replays:
            if len(self.replays) == SHAPES:
                del self.replays[next(iter(self.replays))]
            with torch.inference_mode(False), torch.no_grad():
                x = x.detach().clone(memory_format=torch.contiguous_format)
                self.replays[key] = self.recorded(x)
                if self.witness is None and self.replays[key] is not None:
                    self.probe, self.witness = self.witnessed(x)
        return self.replays[key]

    def recorded(self, x: Tensor) -> Replay | None:
        """A new recording, as well as it goes."""
        failed: tuple[Way, Exception] | None = None
        replay = None
        for way in self.ways:
            try:
                replay = self.attempt(self.network, x, way)
                break
            except Exception as error:  # torch's compiler and third parties' energies raise what they like
                failed = way, error
        if failed is not None:
            with forked(x.device):
                value_and_grad(self.original, x)  # what is wrong with the energy itself comes out here
            name = f"the passes of {type(self.plain).__name__} for shape {tuple(x.shape)}"
            notice(f"{name} cannot be {failed[0]} ({line(failed[1])}): slower, same results")
        return replay

    def witnessed(self, x: Tensor) -> tuple[Tensor, Replay | None]:
        """A recording that tells whether the energy still is the same, and where: at two examples, if those will do."""
        for probe in (x[:2].clone(), x):
            with suppress(Exception):  # some energies take batches of one size only
                return probe, self.attempt(self.plain, probe, "recorded")
        return x, None

    def attempt(self, network: nn.Module, x: Tensor, way: Way) -> Replay:
        """A new recording of the passes through a network of ours, in one way.

        Raises:
            Unrecordable: if the passes do not show in their operations.
        """
        computation = self.passes if network is self.network else partial(value_and_grad, network)
        tolerance = self.tolerance
        if way == "compiled" and self.dtype is not None:
            # The compiler keeps in fp32 what is rounded between operations otherwise, so that less can be seen.
            self.attempt(network, x, "recorded")
            tolerance = 0.3
        with forked(x.device), eval_mode(self.original):
            recording = record(computation, x)
            own = {id(one) for one in tensors(self.original)}
            if any(id(one) in own for one in recording.tensors.values()):
                raise Unrecordable("its copy computes on the energy itself")
            replay = Replay(recording, x, way)
            check_other_numbers(replay, computation, x, tensors(network), tolerance)
        return replay


def copied(energy: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode that shares no tensor with the energy.

    Raises:
        Uncopied: with the reason.
    """
    # torch copies no tensor that has a graph, as an output that was kept; as a value it can be copied.
    kept = [one for module in energy.modules() for one in vars(module).values() if isinstance(one, Tensor)]
    values = {id(one): one.detach().clone() for one in kept if one.grad_fn is not None}
    try:
        twin = copy.deepcopy(energy, values)
        if {id(one) for one in tensors(twin)} & {id(one) for one in tensors(energy)}:
            raise Uncopied("its copy shares its weights")
        for parameter in twin.parameters():
            parameter.requires_grad_(False)
        return twin.eval()
    except Uncopied:
        raise
    except Exception as error:  # whatever a third party's attributes raise when they are copied
        raise Uncopied(line(error)) from error


def channels_last(module: nn.Module) -> None:
    """Lay the weights of two-dimensional convolutions out with their channels last in memory; values stay."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def form(module: nn.Module) -> list[tuple[Any, ...]]:
    """Which parts a module has, and of what form its weights and buffers are."""
    kinds = [(type(one),) for one in module.modules()]
    return [*kinds, *((one.shape, one.dtype, one.device) for one in tensors(module))]


def tensors(module: nn.Module) -> list[Tensor]:
    """Weights and buffers."""
    return [*module.parameters(), *module.buffers()]


def forked(device: torch.device) -> Any:
    """What is drawn inside is not missed outside."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def notice(text: str) -> None:
    """Tell whoever listens to warnings."""
    warnings.warn(text, Notice, stacklevel=2)


def line(error: Exception) -> str:
    """An error as one line."""
    kind = "" if isinstance(error, Unrecordable) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())[:120]}"
