"""The walk down the noise levels as a model: its states, its length, its passes, long chains and reconstruction."""

import warnings
from typing import Any

import pytest
import torch
from ebmkit_recovery.energy import GivenNoisier, LevelEnergies
from ebmkit_recovery.network import LevelDense
from ebmkit_recovery.walk import Walk, WalkRun
from gaussian_levels import D, four_levels, normal, rng

from ebmkit import Accelerated, UsageError
from ebmkit.inits import Gaussian
from ebmkit.samplers import Langevin

STEP: dict[str, Any] = {"steps": 3, "step_size": 0.01, "noise": 0.1}


def model(dtype: torch.dtype = torch.float32, **settings: Any) -> WalkRun:
    """A walk of 4 levels with K = 3 on an untrained network."""
    torch.manual_seed(0)
    network = LevelDense((2,), (1,), width=8, embedding=4).to(dtype)
    levels = (
        four_levels() if dtype == D else type(four_levels())(*(one.float() for one in vars(four_levels()).values()))
    )
    energy = LevelEnergies(network, levels, 5.0, lambda energy: Accelerated(energy).refreshed)
    return WalkRun(energy, Walk(sampler=Langevin(**STEP | settings), levels=levels), Gaussian((2,)))


def test_a_walk_has_k_steps_at_each_level_and_ends_at_the_sample():
    short = model()
    assert short.sampler.steps == short.sampler.promises.gradients == 12
    kept = short.trajectory(5, rng(1), at=[0, 3, 12])
    torch.testing.assert_close(kept[12], short.sample(5, rng(1)))
    torch.testing.assert_close(kept[0], short.init.sample(5, rng(1)))


def test_each_level_starts_where_the_one_above_ended():
    short, x, drawn = model(), normal(5, 2).float(), rng(2)
    walked = short.sampler.sample(short.energy, x, rng(2))
    levels, sampler = short.sampler.levels, short.sampler.sampler
    for level in (3, 2, 1, 0):
        energy = GivenNoisier(short.energy.network, levels, 5.0, x, torch.full((5,), level))
        v = sampler.sample(energy, x / levels.length[level], drawn)
        x = v * (levels.length[level] / levels.scale[level])
    torch.testing.assert_close(walked, x)


def test_another_example_leaves_a_chain_as_it_is():
    short, x = model(noise=0.0), normal(5, 2).float()
    other = x.clone()
    other[1:] += 1
    one, two = (short.sampler.sample(short.energy, start, rng(3)) for start in (x, other))
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[1], two[1])


def test_the_steps_of_a_walk_are_divided_among_its_levels():
    walk = model().sampler
    assert walk.with_steps(20).sampler.steps == 5
    with pytest.raises(UsageError, match=r"^steps must be a multiple of the 4 levels, not 18: write 16 or 20$"):
        walk.with_steps(18)
    with pytest.raises(UsageError, match=r"write 4$"):
        walk.with_steps(3)


def test_the_noise_of_a_walk_is_fixed_and_not_left_out_where_it_generates():
    short, start = model(), normal(3, 2).float()
    assert short.sampler.noiseless is None
    walked = short.sampler.sample(short.energy, start, rng(short.seed))
    torch.testing.assert_close(short.generate(start), walked)


def test_a_stand_in_serves_one_walk_at_a_time_and_is_used_again():
    short, made = model(), []

    def chains(energy: GivenNoisier) -> Any:
        made.append(Accelerated(energy))
        return made[-1].refreshed

    short.energy.chains = chains
    due = [model().sample(n, rng(11)) for n in (5, 5, 4)]
    for n, x in zip((5, 5, 4), due, strict=True):
        torch.testing.assert_close(short.sample(n, rng(11)), x)
    assert len(made) == 2
    walks = [short.sampler.chain(short.energy, normal(5, 2, seed=12 + i).float(), rng(13)) for i in range(2)]
    twice = [state for pair in zip(*walks, strict=True) for state in pair]
    assert len(made) == 3
    for i in range(2):
        x = model().sampler.sample(model().energy, normal(5, 2, seed=12 + i).float(), rng(13))
        torch.testing.assert_close(twice[-2 + i].x, x)


def test_passes_of_a_walk_are_counted():
    short, passes = model(), []
    short.counted(lambda: passes.append(1)).sample(5, rng(5))
    assert len(passes) == 12


def test_long_chains_begin_with_the_walk_and_stay_at_the_lowest_level():
    short = model(noise=0.0)
    points = list(short.long_run(5, rng(6), times=3))
    assert [point.step for point in points] == [0, 12, 24, 36]
    torch.testing.assert_close(points[1].x, short.sample(5, rng(6)))
    levels, noisier = short.sampler.levels, short.trajectory(5, rng(6), at=[9])[9]
    energy = GivenNoisier(short.energy.network, levels, 5.0, noisier, torch.zeros(5, dtype=torch.long))
    unit = levels.length[0] / levels.scale[0]
    v = short.sampler.sampler.with_steps(12).sample(energy, points[1].x / unit, rng(6))
    torch.testing.assert_close(points[2].x, v * unit)
    assert len(list(short.long_run(5, rng(6), times=3, every=1))) == 37


def test_the_energy_of_examples_is_that_of_the_lowest_level():
    short, x = model(), normal(5, 2).float()
    levels = short.sampler.levels
    given = GivenNoisier(short.energy.network, levels, 5.0, levels.scale[0] * x, torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(short.energy(x), given(levels.scale[0] * x / levels.length[0]))


def test_gradients_of_the_end_by_the_start_pass_through_the_condition():
    short = model(D, noise=0.0)
    start = normal(1, 2, seed=7).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.autograd.gradcheck(lambda z: short.sampler.sample(short.energy, z, rng(8)), (start,))


def test_reconstruction_is_refused_in_one_line():
    short = model()
    with pytest.raises(UsageError, match=r"^a walk down noise levels forgets its start, .* do not reconstruct$"):
        short.reconstruct(short.sample(2, rng(9)), rng(10), updates=5)
