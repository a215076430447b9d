"""Tests of what a sampler promises besides a distribution: gradients, noise, homogeneous steps, translations."""

import torch
from torch import Generator, Tensor

from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.probes import Counted, chain_of, start_at
from ebmkit.testing.targets import quadratic


def chains_take_the_gradients_they_promise(subject: Subject) -> None:
    """A whole chain takes `promises.gradients` gradients for each example."""
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
        f"a chain took {found:g} gradients for each example, not the promised {promised}: reuse the last gradient in "
        f"the next step, or promise what it takes",
    )


def noiseless_chains_draw_nothing(subject: Subject) -> None:
    """`noiseless`, where defined, is a sampler with the same number of steps that draws nothing and promises that."""
    sampler = subject.make()
    noiseless = sampler.noiseless
    if noiseless is None:
        raise NotPromised("a property `noiseless`, for samplers whose noise can be switched off")
    require(not noiseless.promises.stochastic, "the noiseless sampler promises noise: promise stochastic=False")
    rng = Generator().manual_seed(0)
    before = rng.get_state()
    length = len(list(noiseless.chain(quadratic, start_at(), rng)))
    require(torch.equal(rng.get_state(), before), "the noiseless sampler drew from rng: switch off all of its noise")
    steps = len(list(chain_of(sampler, quadratic, start_at())))
    require(length == steps, f"the noiseless chain has {length} steps and not {steps}: change only the noise")


def homogeneous_chains_can_be_split(subject: Subject) -> None:
    """A chain equals, up to rounding, two shorter ones: the second starts where the first ends, with the same `rng`."""
    sampler = subject.make()
    if not sampler.promises.homogeneous:
        raise NotPromised("Promises(homogeneous=True), for chains that can be split into shorter ones")
    start, rng = start_at().double(), Generator().manual_seed(0)
    first, rest, whole = (subject.make(settings={"steps": steps}) for steps in (3, 4, 7))
    *_, expected = chain_of(whole, quadratic, start)
    middle = [state.x for state in first.chain(quadratic, start, rng)][-1]
    found = [state.x for state in rest.chain(quadratic, middle, rng)][-1]
    require(
        torch.allclose(found, expected.x, rtol=1e-9, atol=1e-12, equal_nan=True),
        "3 steps and then 4 are not the 7 of one chain: does a schedule, a momentum or a step size persist between "
        "steps? Then promise homogeneous=False",
    )


def chains_translate_as_promised(subject: Subject) -> None:
    """On a linear energy, where the gradient is constant, translating the start translates the whole chain."""
    sampler = subject.make()
    if not sampler.promises.translates:
        raise NotPromised("Promises(translates=True), for steps that depend on x only through gradients and energies")
    start, offset = start_at().double(), torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64)
    *_, one = chain_of(sampler, _slope, start)
    *_, other = chain_of(sampler, _slope, start + offset)
    require(
        torch.allclose(other.x, one.x + offset, rtol=1e-9, atol=1e-9, equal_nan=True),
        "on a slope, translating the start does not translate the chain: a clamp, a decay or a step that depends on x? "
        "Then promise translates=False",
    )


def _slope(x: Tensor) -> Tensor:
    return x.sum(1)
