"""What a chain draws from, and what it must not depend on."""

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import Sampler
from ebmkit.testing.globals import changed_by, seeded
from ebmkit.testing.kit import Subject, require
from ebmkit.testing.targets import quadratic


def chains_repeat_with_their_seed(subject: Subject) -> None:
    """The same start and the same state of `rng` give the same chain, bit for bit; global seeds have no influence."""
    sampler: Sampler = subject.make()
    with seeded(1):
        one = _run(sampler, seed=3)
    with seeded(2):
        other = _run(sampler, seed=3)
    require(
        torch.equal(one, other),
        "two chains of one seed differ: draw with generator=rng (as ebmkit.interfaces.noise_like does), never from "
        "torch's, numpy's or Python's global state",
    )


def chains_differ_with_another_seed(subject: Subject) -> None:
    """A stochastic sampler draws from `rng`; one that says it is not stochastic never touches it."""
    sampler: Sampler = subject.make()
    rng = Generator().manual_seed(3)
    before = rng.get_state()
    one = [state.x for state in sampler.chain(quadratic, _start(), rng)]
    drawn = not torch.equal(rng.get_state(), before)
    if sampler.promises.stochastic:
        require(drawn, "nothing was drawn from rng: use it, or promise stochastic=False")
        other = [state.x for state in sampler.chain(quadratic, _start(), Generator().manual_seed(4))]
        same = all(torch.equal(x, y) for x, y in zip(one, other, strict=True))
        require(not same, "another seed gives the same chain: is the noise of every step really added?")
    else:
        require(not drawn, "the sampler promises stochastic=False, but drew from rng")


def chains_leave_global_randomness_alone(subject: Subject) -> None:
    """The states of torch's, numpy's and Python's generators are the same after a chain as before."""
    sampler: Sampler = subject.make()
    found = changed_by(lambda: _run(sampler, seed=5))
    require(not found, f"a chain changed the random state of {found}: draw from rng alone, and seed nothing")


def chains_do_not_mix_examples(subject: Subject) -> None:
    """Moving one example of the start leaves the chains of all others as they were, bit for bit."""
    sampler: Sampler = subject.make()
    start = _start()
    other = start.clone()
    other[0] += 1.5
    one, two = (_run(sampler, seed=6, start=x) for x in (start, other))
    mixed = int((one[1:] != two[1:]).any(1).sum())
    require(
        mixed == 0,
        f"{mixed} of {len(start) - 1} chains changed when another example of the batch did: no mean, norm, step size "
        f"or decision over the batch, and the same number of draws whatever is accepted",
    )


def samplers_keep_no_state(subject: Subject) -> None:
    """Two chains of one sampler that take turns are those that run one after the other."""
    sampler: Sampler = subject.make()
    alone = [_run(sampler, seed=seed) for seed in (7, 8)]
    turns = [sampler.chain(quadratic, _start(), Generator().manual_seed(seed)) for seed in (7, 8)]
    *_, last = zip(*turns, strict=True)
    same = all(torch.equal(one, state.x) for one, state in zip(alone, last, strict=True))
    require(
        same,
        "chains that take turns disturb each other: keep momenta, schedules and counters as local variables of "
        "`chain`, not on the sampler",
    )


def _start() -> Tensor:
    return torch.randn(16, 3, generator=Generator().manual_seed(0))


def _run(sampler: Sampler, seed: int, start: Tensor | None = None) -> Tensor:
    *_, last = sampler.chain(quadratic, _start() if start is None else start, Generator().manual_seed(seed))
    return last.x
