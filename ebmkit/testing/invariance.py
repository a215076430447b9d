"""The invariant distribution that a sampler promises, tested from exact draws: no chain has to converge; |z| < 5."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import Promises, Sampler, State
from ebmkit.testing import targets
from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.statistics import LIMIT, each_z, moments_z, z
from ebmkit.testing.targets import Target

# The number of chains, and of their steps where that is a setting; every chain is run to its end.
N, STEPS = 20_000, 20
# The density of the control is this much wider than the draws, so a chain that moves must widen.
WIDER = 1.3


def each_step_leaves_its_target_invariant(subject: Subject) -> None:
    """Exact draws of exp(-E/T) are exact at the chain's end: of a Gaussian, and of mixtures of points and of images."""
    sampler, temperature, scale = _exact(subject)
    known = {"Gaussian": targets.gaussian(), "mixture": targets.mixture(), "mixture of images": targets.images()}
    for name, target in known.items():
        there = target.scaled(scale, temperature)
        *_, last = _moved(sampler, there, there)
        found = moments_z(last.x, there.mean, there.covariance)
        require(
            found < LIMIT,
            f"exact draws of a {name} are {found:.1f} standard errors off at the chain's end: is the proposal's ratio "
            f"complete, over all axes except the first, and is every step the same? Or promise no temperature",
        )


def chains_move_towards_their_target(subject: Subject) -> None:
    """Draws of a narrower density widen in every element; a chain that never moves would pass the check above."""
    sampler, temperature, scale = _exact(subject)
    for target in (targets.gaussian(), targets.images()):
        narrow = target.scaled(scale, temperature)
        *_, last = _moved(sampler, narrow, target.scaled(WIDER * scale, temperature))
        squares = (last.x.flatten(1) - narrow.mean).square()
        found = each_z(squares, narrow.covariance.diagonal())
        stuck = int((found <= LIMIT).sum())
        require(
            stuck == 0,
            f"draws from a density {WIDER} times too narrow are still there at the chain's end in {stuck} of "
            f"{len(found)} elements ({float(found.min()):.1f} standard errors wider): they hardly move, or follow "
            f"another energy",
        )


def steps_are_in_detailed_balance(subject: Subject) -> None:
    """From exact draws, x and x' are exchangeable: x³x' - x x'³ has mean 0 for each element."""
    sampler, temperature, scale = _exact(subject)
    if not sampler.promises.reversible:
        raise NotPromised("Promises(reversible=True)")
    for target in (targets.mixture(), targets.images()):
        there = target.scaled(scale, temperature)
        start = there.draw(4 * N, Generator().manual_seed(3))
        end = next(iter(sampler.chain(there.energy, start, Generator().manual_seed(4)))).x
        x, y = start / scale, end / scale
        found = z(x**3 * y - x * y**3, 0.0)
        require(
            found < LIMIT,
            f"a step and its reverse differ by {found:.1f} standard errors: is the ratio that of the reverse step "
            f"too? Or promise reversible=False",
        )


def walls_of_infinity_truncate_the_target(subject: Subject) -> None:
    """No chain enters where the energy is infinite, and exp(-E/T) truncated at this wall stays invariant."""
    _stops_at_the_wall(subject, "infinite", targets.infinite)


def walls_of_nan_truncate_the_target(subject: Subject) -> None:
    """No chain enters where the energy is NaN, whether or not its gradient is: proposals are rejected, not repaired."""
    _stops_at_the_wall(subject, "NaN", targets.undefined)
    _stops_at_the_wall(subject, "NaN and so is its gradient", targets.undefined_with_its_gradient)


def rejected_examples_do_not_move(subject: Subject) -> None:
    """`info["accepted"]` `(B,)` says which examples may have moved; the others are bitwise unchanged."""
    sampler, temperature, scale = _exact(subject)
    there = targets.gaussian().scaled(scale, temperature)
    x = there.draw(500, Generator().manual_seed(5))
    for state in sampler.chain(there.energy, x, Generator().manual_seed(6)):
        accepted = state.info.get("accepted")
        if accepted is None:
            raise NotPromised("info['accepted'] (B,), for samplers that accept or reject")
        shape = tuple(accepted.shape)
        require(
            shape == (len(x),) and accepted.dtype == torch.bool,
            f"info['accepted'] is {accepted.dtype} of shape {shape}: return booleans of shape (B,)",
        )
        moved = (state.x != x).any(1)
        require(
            not bool((moved & ~accepted).any()),
            f"{int((moved & ~accepted).sum())} of {len(x)} rejected examples moved: keep them with torch.where",
        )
        x = state.x


def _exact(subject: Subject) -> tuple[Sampler, float, float]:
    """A sampler that promises a temperature, that temperature, and the scale at which it is tested."""
    sampler = _short(subject)
    promises: Promises = sampler.promises
    if promises.temperature is None:
        raise NotPromised("Promises(temperature=T), for samplers that leave exp(-E/T) invariant")
    return sampler, promises.temperature, _scale(subject)


def _short(subject: Subject) -> Sampler:
    """The sampler with `STEPS` steps if it has more and accepts that many."""
    sampler: Sampler = subject.make()
    if sampler.steps is None or sampler.steps <= STEPS:
        return sampler
    try:
        short: Sampler = subject.make(settings={"steps": STEPS})
    except (TypeError, ValueError):  # it refuses this many: it keeps its own steps
        return sampler
    return short


@lru_cache(maxsize=1)
def _scale(subject: Subject) -> float:
    """The scale at which a sampler is tested, found once for the checks of one sampler."""
    sampler = _short(subject)
    return targets.hard_scale(sampler, sampler.promises.temperature or 1.0)


def _moved(sampler: Sampler, drawn: Target, target: Target) -> Iterator[State]:
    """A whole chain on `target`, from exact draws of `drawn`."""
    start = drawn.draw(N, Generator().manual_seed(1))
    return sampler.chain(target.energy, start, Generator().manual_seed(2))


def _stops_at_the_wall(subject: Subject, beyond: str, energy: Callable[[Tensor], Tensor]) -> None:
    sampler, temperature, scale = _exact(subject)
    wall = targets.walled(energy).scaled(scale, temperature)
    states = list(_moved(sampler, wall, wall))
    behind = torch.stack([~(state.x[:, 0] < targets.WALL * scale) for state in states])
    require(
        not bool(behind.any()),
        f"{int(behind.any(0).sum())} of {N} chains entered where the energy is {beyond}: reject every proposal whose "
        f"energy or gradient is not finite",
    )
    atoms = _repeated(states[-1].x)
    require(not atoms, f"{atoms} chains share their points with others: is NaN replaced by a number? Reject it instead")
    found = moments_z(states[-1].x, wall.mean, wall.covariance)
    require(
        found < LIMIT,
        f"at a wall where the energy is {beyond}, exact draws end {found:.1f} standard errors off: a proposal "
        f"behind the wall must be rejected, and the chain must stay where it was",
    )


def _repeated(x: Tensor) -> int:
    """How many values of the first element occur more than once."""
    _, counts = torch.unique(x[:, 0], return_counts=True)
    return int(counts[counts > 1].sum())
