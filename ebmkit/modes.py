"""What users of a module share: its modes, its passes, one thread at a time, its copies, and the random state."""

import copy
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class _Threads(threading.local):
    """What the current thread has in evaluation mode: how many times, by the `id` of what it gave `eval_mode`."""

    def __init__(self) -> None:
        self.roots = Counter[int]()


# Held while torch's global random state is replaced or restored. Taken before the lock of a module.
SEEDING = threading.RLock()
# A thread may enter it again: a chain that nobody finished may be collected, and its block end, at any allocation.
_FLAGS = threading.RLock()
_threads = _Threads()
# Modules that are in training mode otherwise: how many blocks of `eval_mode` have them, and which are being trained.
_evaluated = dict[nn.Module, int]()
_trained = set[nn.Module]()
_locks = WeakKeyDictionary[nn.Module, Any]()
# The blocks of `twice_differentiable` in all threads, and what torch's settings are restored by after the last.
_twice = Counter[str]()
_settings = ExitStack()


@contextmanager
def eval_mode(energy: Any) -> Iterator[None]:
    """Put every submodule of `energy` in evaluation mode; the mode of each is restored afterwards.

    If several threads do so with one module, its mode is restored after the last of them.
    """
    roots = _threads.roots
    with _FLAGS:
        entered = [module for module in submodules(energy) if module.training or module in _evaluated]
        # Put in training mode within an outer block, by its caller.
        again = {module for module in entered if module.training and module in _evaluated and module not in _trained}
        for module in entered:
            _evaluated[module] = _evaluated.get(module, 0) + 1
            module.training = module in _trained
    roots[id(energy)] += 1
    try:
        yield
    finally:
        roots[id(energy)] -= 1
        if not roots[id(energy)]:
            del roots[id(energy)]
        with _FLAGS:
            for module in entered:
                _evaluated[module] -= 1
                if not _evaluated[module]:
                    del _evaluated[module]
                module.training = module.training or module in again or module not in _evaluated


@contextmanager
def training_mode(energy: nn.Module) -> Iterator[None]:
    """Restore the modes that other threads changed by `eval_mode`; their passes wait until the block ends.

    Submodules that the user put in evaluation mode stay there.
    """
    with one_thread(energy):
        with _FLAGS:
            trained = [module for module in submodules(energy) if module.training or module in _evaluated]
            _trained.update(trained)
            for module in trained:
                module.training = True
        try:
            yield
        finally:
            with _FLAGS:
                _trained.difference_update(trained)
                for module in trained:
                    module.training = module not in _evaluated


def in_eval_mode(energy: Any) -> bool:
    """Whether `energy` is in evaluation mode, and no other thread can change that while this one computes."""
    modules = submodules(energy)
    if any(module.training for module in modules):
        return False
    return not _evaluated or _threads.roots[id(energy)] > 0 or not any(module in _evaluated for module in modules)


def one_thread(energy: Any) -> AbstractContextManager[object]:
    """A lock of this module, which its thread may take again; nothing is locked for what is not a module.

    A module may write to itself in a pass, as weight norm, caches and counters do.
    """
    if not isinstance(energy, nn.Module):
        return nullcontext()
    lock: Any = _locks.get(energy)
    if lock is None:
        with _FLAGS:
            lock = _locks.setdefault(energy, threading.RLock())
    return lock  # type: ignore[no-any-return]


def duplicated(module: nn.Module) -> nn.Module:
    """A deep copy of a module; no other thread writes to it meanwhile.

    Raises:
        Exception: whatever its attributes raise if they cannot be copied.
    """
    with one_thread(module), torch.inference_mode(False):
        # torch copies no tensor that has a graph, such as an output that was kept; as a value it can be copied.
        kept = [one for each in module.modules() for one in vars(each).values() if isinstance(one, Tensor)]
        values: dict[int, Any] = {id(one): one.detach().clone() for one in kept if one.grad_fn is not None}
        return copy.deepcopy(module, values)


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Compute attention by its formula, and compiled modules as they are written.

    Torch's fused kernels of attention and its compiled programs have no second derivative. Both settings are those of
    the process: they are restored after the last of the blocks that several threads are in.
    """
    with _FLAGS:
        _twice["blocks"] += 1
        if not _twice["attention"]:
            _settings.enter_context(sdpa_kernel(SDPBackend.MATH))
            _twice["attention"] = 1
        # Loaded only if something is compiled; loading it takes two seconds.
        if "torch._dynamo" in sys.modules and not _twice["compiler"]:
            _settings.enter_context(torch.compiler.set_stance("force_eager"))
            _twice["compiler"] = 1
    try:
        yield
    finally:
        with _FLAGS:
            _twice["blocks"] -= 1
            if not _twice["blocks"]:
                _twice.clear()
                _settings.close()


@contextmanager
def usual_defaults() -> Iterator[None]:
    """Make tensors in float32 on the CPU unless they say otherwise, whatever the program chose as torch's defaults."""
    dtype = torch.get_default_dtype()
    with torch.device("cpu"):
        # The dtype is that of the process, so that it is written only if it differs.
        if dtype == torch.float32:
            yield
            return
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def submodules(energy: Any) -> list[nn.Module]:
    """The submodules of `energy`, itself included; none if it is not a module."""
    # `energy.modules()` gives the same, but takes as long as the layers of a small network, at every step.
    modules = [energy] if isinstance(energy, nn.Module) else []
    seen = set(modules)
    for module in modules:
        for child in module._modules.values():
            if child is not None and child not in seen:
                seen.add(child)
                modules.append(child)
    return modules


@contextmanager
def random_state_restored(device: torch.device) -> Iterator[None]:
    """Restore torch's random states, of the CPU and of this device, after the block; one thread at a time."""
    with SEEDING, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
