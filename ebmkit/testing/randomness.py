"""What a chain may draw from, and what it must not depend on."""

from functools import partial

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import EnergyFn, Sampler
from ebmkit.testing.globals import changed_by, seeded
from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.probes import DIVERGED, require_same
from ebmkit.testing.targets import quadratic

# The scales of |x / scale|² / 2 that are tried until a chain moves: on small ones every proposal may be rejected.
SCALES = tuple(2.0**exponent for exponent in range(0, 61, 10))


def chains_repeat_with_their_seed(subject: Subject) -> None:
    """The same start and the same state of `rng` give bitwise the same chain; global seeds have no influence."""
    sampler: Sampler = subject.make()
    with seeded(1):
        one = _run(sampler, seed=3)
    with seeded(2):
        other = _run(sampler, seed=3)
    require_same(
        one,
        other,
        "two chains with one seed differ: draw with generator=rng, as ebmkit.noise_like does, never from torch's, "
        "numpy's or Python's global state",
    )


def chains_differ_with_another_seed(subject: Subject) -> None:
    """A stochastic sampler draws from `rng`; one that promises not to be stochastic does not use it."""
    sampler: Sampler = subject.make()
    energy, start = _moving(sampler, _start())
    rng = Generator().manual_seed(3)
    before = rng.get_state()
    one = [state.x for state in sampler.chain(energy, start.clone(), rng)]
    drawn = not torch.equal(rng.get_state(), before)
    if sampler.promises.stochastic:
        require(drawn, "nothing was drawn from rng: use it, or promise stochastic=False")
        other = [state.x for state in sampler.chain(energy, start.clone(), Generator().manual_seed(4))]
        differ = any(not torch.equal(x, y) for x, y in zip(one, other, strict=True) if bool(x.isfinite().all()))
        finite = bool(one[-1].isfinite().all())
        require(differ, "another seed gives the same chain: is the noise of every step added?" if finite else DIVERGED)
    else:
        require(not drawn, "the sampler promises stochastic=False, but drew from rng")


def chains_have_independent_noise(subject: Subject) -> None:
    """Chains of one batch that start at the same point separate: every example has its own noise."""
    sampler: Sampler = subject.make()
    if not sampler.promises.stochastic:
        raise NotPromised("Promises(stochastic=True)")
    energy, start = _moving(sampler, _start()[:1].double().repeat(16, 1))
    before, finite = start.tolist(), True
    for state in sampler.chain(energy, start, Generator().manual_seed(9)):
        # Acceptance may differ where the noise does not, so only chains that moved from the same point are compared.
        ends: dict[tuple[float, ...], set[tuple[float, ...]]] = {}
        for old, new in zip(before, state.x.tolist(), strict=True):
            if new != old:
                ends.setdefault(tuple(old), set()).add(tuple(new))
        if any(len(found) > 1 for found in ends.values()):
            return
        before, finite = state.x.tolist(), bool(state.x.isfinite().all())
    reason = "16 chains that start at one point move identically: draw noise of the shape of x, noise_like(x, rng)"
    require(False, reason if finite else DIVERGED)


def chains_leave_global_randomness_unchanged(subject: Subject) -> None:
    """A chain leaves the states of torch's, numpy's and Python's global generators unchanged."""
    sampler: Sampler = subject.make()
    found = changed_by(lambda: _run(sampler, seed=5))
    require(not found, f"a chain changed the random state of {found}: draw only from rng, and set no global seed")


def chains_do_not_mix_examples(subject: Subject) -> None:
    """Changing one example of the start leaves the chains of all others bitwise unchanged."""
    sampler: Sampler = subject.make()
    start = _start()
    other = start.clone()
    other[0] += 1.5
    one, two = (_run(sampler, seed=6, start=x) for x in (start, other))
    require_same(
        one[1:],
        two[1:],
        "chains changed when another example of the batch did: take no mean, norm, step size or decision over the "
        "batch, and draw as much whatever is accepted",
    )


def samplers_keep_no_state(subject: Subject) -> None:
    """Two chains of one sampler, advanced in turns, are the same as one after the other."""
    sampler: Sampler = subject.make()
    separate = [_run(sampler, seed=seed) for seed in (7, 8)]
    turns = [sampler.chain(quadratic, _start(), Generator().manual_seed(seed)) for seed in (7, 8)]
    *_, last = zip(*turns, strict=True)
    for one, state in zip(separate, last, strict=True):
        require_same(
            one,
            state.x,
            "two chains of one sampler affect each other: keep momenta, schedules and counters as local variables of "
            "`chain`, not on the sampler",
        )


def _start() -> Tensor:
    return torch.randn(16, 3, generator=Generator().manual_seed(0))


def _moving(sampler: Sampler, start: Tensor) -> tuple[EnergyFn, Tensor]:
    """|x / scale|² / 2 and the start at the first scale where the chain moves; at scale 1 if it never does."""
    for scale in SCALES:
        energy, x = partial(_wide, scale), scale * start
        for state in sampler.chain(energy, x.clone(), Generator().manual_seed(3)):
            if bool(((state.x != x) & state.x.isfinite()).any()):
                return energy, x
    return quadratic, start


def _wide(scale: float, x: Tensor) -> Tensor:
    return quadratic(x / scale)


def _run(sampler: Sampler, seed: int, start: Tensor | None = None) -> Tensor:
    *_, last = sampler.chain(quadratic, _start() if start is None else start, Generator().manual_seed(seed))
    return last.x
