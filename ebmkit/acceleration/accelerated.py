"""An energy's stand-in for chains."""

import threading
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from ebmkit.acceleration.copying import Uncopied, unsized
from ebmkit.acceleration.precision import PRECISIONS, Precision, arithmetic
from ebmkit.acceleration.twin import Twin, notice
from ebmkit.errors import UsageError
from ebmkit.interfaces import eval_mode, value_and_grad
from ebmkit.modes import one_thread

ADOPTIONS = 4  # this many twins are made for an energy that changes from chain to chain
PATIENCE = 100  # after this many chains without a change, changes are counted again from none


class Accelerated(nn.Module):
    """Stands for an energy in chains: the same E and dE/dx, faster.

    It computes on a twin of the energy, whose weights are frozen and laid out for the device. For each shape of
    examples the passes through the twin, forward and backward, are recorded once and then run again without autograd;
    what depends only on the weights is computed once per chain. The chain's state and noise stay as they are; with
    bf16 only the passes are rounded.

    Use it as `Trainer(..., accelerate=Accelerated(energy).refreshed)`, or hand `refreshed(energy)` to a sampler: new
    weights count from then on. Called, it is the energy itself.

    Where that cannot be done it falls back to autograd, and a `Notice` says so: for an energy whose operations depend
    on its values, that cannot be copied, or that changes from chain to chain otherwise than by its weights.

    Several threads may run chains on it at once.

    Args:
        energy: Any module `(B, *shape) -> (B,)` or `(B, 1)`, on its device.
        precision: fp32 leaves the numbers as they are; bf16 passes bfloat16 through the network; tf32 rounds what a GPU
            multiplies to 10 bits.
        compile: Whether torch's compiler makes one program of the recorded passes; on a GPU it is captured as a graph.

    Raises:
        UsageError: for an unknown precision, or bf16 for an energy that cannot be copied.
    """

    def __init__(self, energy: nn.Module, *, precision: Precision = "fp32", compile: bool = False) -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision must be {' | '.join(PRECISIONS)}, not '{precision}'")
        super().__init__()
        # Only the flag of this module: the energy's own is the energy's.
        self.training = False
        self.energy, self.precision, self.compiles = energy, precision, compile
        self.adoptions, self.agreed = 0, 0
        self.lock = threading.RLock()
        self.waits, self.twin = unsized(energy), self.adopted(energy)
        if self.twin is None and precision == "bf16":
            raise UsageError(f"bf16 computes on a copy of the energy, but {type(energy).__name__} has none: use fp32")

    def adopted(self, energy: nn.Module) -> Twin | None:
        """A new twin; none if there can be none, or while lazy layers have no sizes yet."""
        if unsized(energy):
            return None
        reason = "changes from chain to chain otherwise than by its weights"
        if self.adoptions < ADOPTIONS:
            self.adoptions += 1
            try:
                return Twin(energy, self.precision, self.compiles)
            except Uncopied as error:
                reason = f"cannot be copied ({error})"
        how = "by autograd and in fp32" if self.precision == "bf16" else "by autograd"
        notice(f"{type(energy).__name__} {reason}: its passes are computed {how}, slower")
        return None

    def refreshed(self, energy: nn.Module) -> "Accelerated":
        """Use the weights, the buffers and everything else that `energy` has now: once per chain, not once a step.

        Gives itself: whoever was given it before sees the new weights too. No other thread may be in a chain on it.
        """
        with self.lock:
            self.energy = energy
            if self.twin is not None:
                self.follow(self.twin, energy)
            elif self.waits and not unsized(energy):
                self.waits, self.twin = False, self.adopted(energy)
        return self

    def follow(self, twin: Twin, energy: nn.Module) -> None:
        """Have the twin become what the energy is now, or make another."""
        # Where nothing was recorded there is nothing to compare: a new copy is sure to be what the energy is now.
        if not twin.replays:
            self.adoptions -= 1
        agrees = bool(twin.replays) and twin.follows(energy)
        self.agreed = self.agreed + 1 if agrees else 0
        if self.agreed == PATIENCE:
            self.adoptions = 0
        if not agrees:
            self.twin = self.adopted(energy)

    def _apply(self, *given: Any, **more: Any) -> Self:
        """Move the energy, as to another device or type, and make a twin of what it is then."""
        super()._apply(*given, **more)  # type: ignore[no-untyped-call]
        self.adoptions, self.twin = 0, None
        self.waits, self.twin = unsized(self.energy), self.adopted(self.energy)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, or a file, holds the energy: recordings are made where they are used."""
        return partial(Accelerated, precision=self.precision, compile=self.compiles), (self.energy,)

    @property
    def piecewise_linear(self) -> bool:
        """What the energy says of itself."""
        return bool(getattr(self.energy, "piecewise_linear", False))

    def forward(self, x: Tensor) -> Tensor:
        """What the energy itself gives, in evaluation mode: only what chains ask for is recorded and rounded."""
        with one_thread(self.energy), eval_mode(self.energy), arithmetic(self.precision, x.device):
            energy: Tensor = self.energy(x)
        return energy

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """E(x) `(B,)` and dE/dx `(B, *shape)`."""
        twin = self.twin
        # OpenMP does not know in a new thread how many threads torch is to use, until torch is asked.
        torch.get_num_threads()
        with arithmetic(self.precision, x.device):
            if twin is not None and not x.requires_grad:
                replay = twin.replay(x)
                if replay is not None:
                    with torch.inference_mode(False), torch.no_grad():
                        value, gradient = replay(x.contiguous())
                    return value, gradient
            if twin is not None and self.precision == "bf16":
                return twin.passes(twin.network, x)
            return value_and_grad(self.energy, x)
