"""What a sampler may say of its chains beyond their law, held to it: gradients, noise, steps that are all alike."""

import torch
from torch import Generator, Tensor

from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.probes import Counted, chain_of, start_at
from ebmkit.testing.targets import quadratic


def chains_take_the_gradients_they_promise(subject: Subject) -> None:
    """A whole chain asks for as many gradients, for each example, as `promises.gradients` says."""
    sampler = subject.make()
    promised = sampler.promises.gradients
    if promised is None:
        raise NotPromised("Promises(gradients=...), how many gradients one chain takes for each example")
    energy = Counted()
    start = start_at()
    sampler.sample(energy, start, Generator().manual_seed(0))
    found = energy.gradients / len(start)
    require(
        found == promised,
        f"a chain took {found:g} gradients for each example, not the promised {promised}: carry the last gradient over "
        f"to the next step, or promise what it takes",
    )


def noiseless_chains_draw_nothing(subject: Subject) -> None:
    """`noiseless`, where there is one, is a sampler of the same length that draws nothing, and says so."""
    sampler = subject.make()
    silent = sampler.noiseless
    if silent is None:
        raise NotPromised("a property `noiseless`, for samplers whose noise can be switched off")
    require(not silent.promises.stochastic, "the noiseless sampler promises to be stochastic: promise stochastic=False")
    rng = Generator().manual_seed(0)
    before = rng.get_state()
    length = len(list(silent.chain(quadratic, start_at(), rng)))
    require(torch.equal(rng.get_state(), before), "the noiseless sampler drew from rng: switch all of its noise off")
    steps = len(list(chain_of(sampler, quadratic, start_at())))
    require(length == steps, f"the noiseless chain has {length} steps and not {steps}: change nothing but the noise")


def homogeneous_chains_can_be_cut(subject: Subject) -> None:
    """A chain is the same, to rounding, when another one goes on from its middle with the same `rng`."""
    sampler = subject.make()
    if not sampler.promises.homogeneous:
        raise NotPromised("Promises(homogeneous=True), for chains that can be cut into shorter ones")
    start, rng = start_at().double(), Generator().manual_seed(0)
    first, rest, whole = (subject.make(settings={"steps": steps}) for steps in (3, 4, 7))
    *_, expected = chain_of(whole, quadratic, start)
    middle = [state.x for state in first.chain(quadratic, start, rng)][-1]
    found = [state.x for state in rest.chain(quadratic, middle, rng)][-1]
    require(
        torch.allclose(found, expected.x, rtol=1e-9, atol=1e-12, equal_nan=True),
        "3 steps and then 4 are not the 7 of one chain: does a schedule, a momentum or a step size live on between "
        "steps? Then promise homogeneous=False",
    )


def chains_that_promise_it_translate(subject: Subject) -> None:
    """Where the gradient does not change with x, on a slope, moving the start moves the whole chain alike."""
    sampler = subject.make()
    if not sampler.promises.translates:
        raise NotPromised("Promises(translates=True), for chains that x enters by gradients and energies alone")
    start, offset = start_at().double(), torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64)
    *_, one = chain_of(sampler, _slope, start)
    *_, other = chain_of(sampler, _slope, start + offset)
    require(
        torch.allclose(other.x, one.x + offset, rtol=1e-9, atol=1e-9, equal_nan=True),
        "on a slope, a chain whose start is moved does not move with it: a clamp, a decay or a step that depends on x? "
        "Then promise translates=False",
    )


def _slope(x: Tensor) -> Tensor:
    return x.sum(1)
