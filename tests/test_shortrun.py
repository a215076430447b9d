"""The chain as a generator: samples in batches, M(z) for fixed randomness, interpolation, trajectories, long runs."""

import gc
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.gaussian import Gaussian
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import EnergyFn, InitDistribution, State
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun


class Offset(Gaussian):
    """Gaussian starts whose mean differs by element."""

    def __init__(self) -> None:
        super().__init__((2, 3))

    @property
    def centre(self) -> Tensor:
        return torch.arange(6.0).reshape(2, 3)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


def model(**settings: float) -> ShortRun:
    return ShortRun(square, Langevin(**{"steps": 6, "step_size": 0.1, "noise": 0.2, **settings}), Uniform((2, 3)))


def test_samples_are_the_ends_of_chains_from_the_init():
    generator = rng(1)
    start = Uniform((2, 3)).sample(5, generator)
    expected = model().sampler.sample(square, start, generator)
    assert torch.equal(model().sample(5, rng(1)), expected)


def test_samples_are_drawn_one_batch_at_a_time():
    drawn: list[int] = []

    class Counted(Uniform):
        def sample(self, n: int, rng: Generator) -> Tensor:
            drawn.append(n)
            return super().sample(n, rng)

    chunks = ShortRun(square, Langevin(steps=2), Counted((3,))).samples(10, rng(), batch=4)
    assert drawn == []
    assert next(chunks).shape == (4, 3)
    assert drawn == [4]
    assert [len(chunk) for chunk in chunks] == [4, 2]
    assert model().sample(10, rng(), batch=3).shape == (10, 2, 3)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": -1}, {"n": 3, "batch": 0}], ids=str)
def test_numbers_of_samples_below_1_are_refused(wrong: dict[str, int]):
    n = wrong.pop("n")
    with pytest.raises(UsageError, match=r"must be at least 1"):
        model().sample(n, rng(), **wrong)


def most_alive(sampler: Langevin | HMC) -> int:
    """The most tensors of the examples' shape that are alive at once while a sample is drawn."""
    most = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal most
        most = max(most, sum(type(one) is Tensor and one.shape == (4, 7) for one in gc.get_objects()))
        return square(x)

    gc.freeze()  # objects from before are not searched at each call
    try:
        ShortRun(counted, sampler, Uniform((7,))).sample(4, rng())
    finally:
        gc.unfreeze()
    return most


@pytest.mark.parametrize("sampler", [Langevin(steps=3), HMC(steps=3, leapfrog=2)], ids=["langevin", "hmc"])
def test_memory_does_not_grow_with_the_length_of_the_chain(sampler: Langevin | HMC):
    assert most_alive(replace(sampler, steps=30)) == most_alive(replace(sampler, steps=6))


@dataclass(frozen=True, kw_only=True)
class Hoarder(Langevin):
    """Keeps every state until the end."""

    def sample(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Tensor:
        return list(self.chain(energy, x, rng))[-1].x


def test_the_count_detects_a_sampler_that_keeps_its_states():
    assert most_alive(Hoarder(steps=30)) > most_alive(Hoarder(steps=6)) + 20


def test_a_trajectory_contains_the_requested_steps():
    found = model().trajectory(3, rng(2), at=(0, 2, 6))
    start = Uniform((2, 3)).sample(3, rng(2))
    assert sorted(found) == [0, 2, 6]
    assert torch.equal(found[0], start)
    assert torch.equal(found[6], model().sample(3, rng(2)))
    assert not torch.equal(found[2], found[6])


def test_a_step_that_the_chain_does_not_have_is_refused():
    with pytest.raises(UsageError, match=r"^the chain has 6 steps and no step 7; use steps from 0 to 6$"):
        model().trajectory(3, rng(), at=(0, 7))


def test_generate_switches_the_noise_of_langevin_off():
    z = torch.randn(4, 2, 3, generator=rng())
    torch.testing.assert_close(model().generate(z), z * 0.9**6)


def test_the_seed_fixes_the_randomness_of_other_samplers():
    z = torch.randn(4, 2, 3, generator=rng())
    one = ShortRun(square, HMC(steps=3), Gaussian((2, 3)))
    assert torch.equal(one.generate(z), one.generate(z))
    assert torch.equal(one.generate(z), HMC(steps=3).sample(square, z, rng(0)))
    assert not torch.equal(one.generate(z), replace(one, seed=1).generate(z))


def test_generate_builds_no_graph_and_restores_the_mode():
    energy = MLP((3,), width=8).train()
    z = torch.randn(4, 3, generator=rng(), requires_grad=True)
    assert not ShortRun(energy, Langevin(steps=2), Uniform((3,))).generate(z).requires_grad
    assert energy.training


def test_interpolation_keeps_the_variance_of_z():
    z1, z2 = torch.randn(2, 4, 2, 3, generator=rng(3))
    found = model().interpolate(z1, z2, 5)
    assert found.shape == (5, 4, 2, 3)
    for place, rho in enumerate((1, 0.75, 0.5, 0.25, 0)):
        torch.testing.assert_close(found[place], (rho * z1 + math.sqrt(1 - rho**2) * z2) * 0.9**6)
    with pytest.raises(UsageError, match="n must be at least 2, not 1"):
        model().interpolate(z1, z2, 1)


def test_what_was_inferred_is_interpolated_as_starts():
    z1, z2 = torch.randn(2, 3, 2, generator=Generator().manual_seed(0))
    assert torch.equal(model().interpolate_inferred(z1, z2, 4), model().interpolate(z1, z2, 4))


@pytest.mark.parametrize(
    ("init", "centre"),
    [(Gaussian((2, 3), mean=0.7), 0.7), (Uniform((2, 3), low=0.0, high=0.5), 0.25), (Offset(), torch.arange(6.0))],
    ids=["gaussian", "uniform", "by element"],
)
def test_interpolation_keeps_the_mean_of_z(init: InitDistribution, centre: float | Tensor):
    middle = torch.as_tensor(centre).expand(6).reshape(2, 3)
    short = replace(model(), init=init)
    z1, z2 = torch.randn(2, 4, 2, 3, generator=rng(3)) + middle
    found = short.interpolate(z1, z2, 5)
    for place, rho in enumerate((1, 0.75, 0.5, 0.25, 0)):
        between = middle + rho * (z1 - middle) + math.sqrt(1 - rho**2) * (z2 - middle)
        torch.testing.assert_close(found[place], between * 0.9**6)
    assert torch.equal(found[0], short.generate(z1))
    assert torch.equal(found[-1], short.generate(z2))


def test_a_long_run_continues_where_the_chain_ended():
    points = list(model().long_run(3, rng(4), times=3))
    assert [point.step for point in points] == [0, 6, 12, 18]
    long = replace(model().sampler, steps=18)
    generator = rng(4)
    start = Uniform((2, 3)).sample(3, generator)
    assert torch.equal(points[0].x, start)
    torch.testing.assert_close(points[-1].x, long.sample(square, start, generator))


def test_a_long_run_is_thinned_and_reports_energies():
    every = list(model().long_run(3, rng(4), times=2, every=1))
    assert [point.step for point in every] == list(range(13))
    for before, after in pairwise(every):
        torch.testing.assert_close(after.energy, square(before.x))
    thin = list(model().long_run(3, rng(4), times=2, every=5))
    assert [point.step for point in thin] == [0, 5, 10]
    assert torch.equal(thin[2].x, every[10].x)


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"n": 2, "times": 0}, {"n": 2, "every": -1}, {"n": 2, "every": 0}], ids=str
)
def test_long_runs_without_length_are_refused(wrong: dict[str, int]):
    n = wrong.pop("n")
    with pytest.raises(UsageError, match="must be at least 1"):
        model().long_run(n, rng(), **wrong)


@dataclass(frozen=True, kw_only=True)
class Mute:
    """A sampler that does not report energies."""

    def chain(self, energy: object, x: Tensor, rng: Generator) -> Iterator[State]:
        yield State(x + 1, {})


def test_long_runs_without_reported_energies_have_none():
    points = list(ShortRun(square, Mute(), Uniform((3,))).long_run(2, rng(), times=2))
    assert [point.energy for point in points] == [None, None, None]


def sizes_drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of starts in every draw from a uniform init, recorded."""
    sizes: list[int] = []
    sample = Uniform.sample

    def recorded(self: Uniform, n: int, rng: Generator) -> Tensor:
        sizes.append(n)
        return sample(self, n, rng)

    monkeypatch.setattr(Uniform, "sample", recorded)
    return sizes


def test_starts_are_drawn_in_batches(monkeypatch: pytest.MonkeyPatch):
    sizes = sizes_drawn(monkeypatch)
    starts = model().starts(5, rng(1), batch=2)
    assert sizes == [2, 2, 1]
    assert starts.shape == (5, 2, 3)


def test_a_trajectory_in_batches_is_that_of_each_batch(monkeypatch: pytest.MonkeyPatch):
    draws, sizes = rng(2), sizes_drawn(monkeypatch)
    parts = [model().trajectory(n, draws, at=(0, 4)) for n in (2, 2, 1)]
    sizes.clear()
    found = model().trajectory(5, rng(2), at=(0, 4), batch=2)
    assert sizes == [2, 2, 1]
    assert all(torch.equal(found[step], torch.cat([part[step] for part in parts])) for step in (0, 4))


def test_a_long_run_in_batches_joins_the_points_of_each(monkeypatch: pytest.MonkeyPatch):
    draws, sizes = rng(4), sizes_drawn(monkeypatch)
    start = torch.cat([Uniform((2, 3)).sample(n, draws) for n in (2, 2, 1)])
    sizes.clear()
    points = list(model(noise=0).long_run(5, rng(4), times=2, every=3, batch=2))
    assert sizes == [2, 2, 1]
    assert [point.step for point in points] == [0, 3, 6, 9, 12]
    for point in points:
        torch.testing.assert_close(point.x, start * 0.9**point.step)
    assert points[0].energy is None
    for point in points[1:]:
        torch.testing.assert_close(point.energy, square(start * 0.9 ** (point.step - 1)))


@pytest.mark.parametrize("call", ["trajectory", "long_run"])
def test_batches_below_1_are_refused(call: str):
    settings = {"at": (0,)} if call == "trajectory" else {}
    with pytest.raises(UsageError, match=r"^batch must be at least 1, not 0$"):
        getattr(model(), call)(3, rng(), batch=0, **settings)
