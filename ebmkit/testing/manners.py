"""What a chain must leave unchanged: its start, earlier states, the energy and grad mode."""

import torch
from torch import Generator, Tensor

from ebmkit.testing.kit import Subject, require
from ebmkit.testing.probes import Interruption, Network, chain_of, require_same, start_at
from ebmkit.testing.targets import quadratic


def chains_leave_their_start_unchanged(subject: Subject) -> None:
    """A chain does not write to its start, nor to earlier states, and does not make its start require gradients."""
    start = start_at()
    given = start.clone()
    states, copies = [], []
    for state in chain_of(subject.make(), quadratic, start):
        states.append(state.x)
        copies.append(state.x.clone())
    written = not torch.equal(start, given)
    require(not written, "the chain wrote to the x it was given: make a new tensor, x = x - ..., not x -= ...")
    require(not start.requires_grad, "the chain made its start require gradients: x.detach().requires_grad_() instead")
    for kept, copy in zip(states, copies, strict=True):
        require_same(kept, copy, "a state was written to after it was yielded: make a new tensor at each step")


def chains_keep_no_graph(subject: Subject) -> None:
    """States require no gradient where the start requires none, although the energy has parameters."""
    for state in chain_of(subject.make(), Network(), start_at()):
        tensors = {"x": state.x, **state.info}
        held = [name for name, value in tensors.items() if isinstance(value, Tensor) and value.requires_grad]
        require(not held, f"{', '.join(held)} of a state require a gradient: take them from value_and_grad")


def chains_leave_grad_mode_unchanged(subject: Subject) -> None:
    """Between steps, and after a chain that was stopped early, grad mode is the caller's, and any mode is accepted."""
    *_, expected = chain_of(subject.make(), quadratic, start_at())
    energy = Network()
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode():
            before = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
            x = start_at()
            for _ in chain_of(subject.make(), energy, start_at()):
                now = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
                require(now == before, "grad mode differs between steps: do not yield inside `with torch.no_grad()`")
                break
            for state in chain_of(subject.make(), quadratic, x):
                x = state.x
        require_same(x, expected.x, f"under torch.{mode.__name__}() the chain differs")


def chains_leave_the_energy_unchanged(subject: Subject) -> None:
    """Modes, flags, weights, gradients and buffers of the energy are unchanged, also when it raises during a chain."""
    for raises_at in (None, 2):
        energy = Network(raises_at)
        before = energy.everything()
        try:
            subject.make().sample(energy, start_at(), Generator().manual_seed(0))
        except Interruption:
            pass
        else:
            require(raises_at is None, "an exception of the energy was suppressed: let it propagate")
        when = "" if raises_at is None else " when the energy raised"
        for name, value in energy.everything().items():
            require(
                _equal(value, before[name]),
                f"the chain changed {name} of the energy{when}: evaluate it only by value_and_grad",
            )


def _equal(value: object, other: object) -> bool:
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        return torch.equal(value, other)
    return value is other or (type(value) is type(other) and not isinstance(value, Tensor) and value == other)
