"""What a sampler is: the object, its promises, its chain of states. All other checks rely on these."""

from typing import Any

from torch import Generator, Tensor

from ebmkit.interfaces import Promises, Sampler, State
from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.probes import Counted, chain_of, require_same, start_at
from ebmkit.testing.targets import quadratic


def samplers_are_samplers(subject: Subject) -> None:
    """A sampler derives from `ebmkit.Sampler`."""
    sampler: Any = subject.make()
    require(isinstance(sampler, Sampler), f"it returned a {type(sampler).__name__}; derive from ebmkit.Sampler")


def promises_are_promises(subject: Subject) -> None:
    """The property `promises` is an `ebmkit.Promises`, which refuses what no sampler can promise."""
    promises: Any = subject.make().promises
    require(
        isinstance(promises, Promises),
        f"promises is a {type(promises).__name__}; make it a @property that returns ebmkit.Promises(...)",
    )


def states_are_states(subject: Subject) -> None:
    """A chain yields `ebmkit.State(x, info)`; `info` holds tensors `(B, ...)`, at least one value per example."""
    states = list(chain_of(subject.make(), quadratic, start_at()))
    require(bool(states), "the chain yielded nothing; yield State(x, info) after each step")
    for state in states:
        require(isinstance(state, State), f"the chain yielded a {type(state).__name__}: yield State(x, info)")
        wrong = [
            name
            for name, value in state.info.items()
            if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != len(state.x)
        ]
        require(not wrong, f"info[{', '.join(map(repr, wrong))}] lacks values for some examples: use tensors (B, ...)")


def chains_have_the_length_of_their_setting(subject: Subject) -> None:
    """A sampler with a setting `steps` yields that many states."""
    sampler = subject.make()
    steps = sampler.steps
    if steps is None:
        raise NotPromised("a setting `steps`, which --steps on the command line sets")
    for wanted in (steps, steps + 3):
        found = len(list(chain_of(subject.make(settings={"steps": wanted}), quadratic, start_at())))
        require(found == wanted, f"steps={wanted} yielded {found} states: yield once after every step, also the last")


def chains_take_one_step_at_a_time(subject: Subject) -> None:
    """When the first state is yielded, the chain has not yet evaluated the energy at all of its steps."""
    energy = Counted()
    chain = iter(subject.make().chain(energy, start_at(), Generator().manual_seed(0)))
    next(chain)
    first, states = energy.calls, 1 + sum(1 for _ in chain)
    if states == 1 or energy.calls <= 2:
        raise NotPromised("chains of at least two states that evaluate the energy more than twice")
    require(
        first < energy.calls,
        f"all {first} energy evaluations came before the first of {states} states: write a generator that yields "
        f"after each step instead of returning a list, so that a caller can watch a chain or stop it",
    )


def samples_are_the_ends_of_chains(subject: Subject) -> None:
    """`sample` returns the x of the last state of `chain`, for the same seed."""
    *_, last = chain_of(subject.make(), quadratic, start_at())
    sample = subject.make().sample(quadratic, start_at(), Generator().manual_seed(0))
    require_same(sample, last.x, "sample does not return where chain ends: do not override Sampler.sample")
