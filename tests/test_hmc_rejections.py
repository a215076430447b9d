"""HMC whose proposals are all rejected: it says so once, with what to type."""

import math
import warnings

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.errors import Notice
from ebmkit.samplers.hmc import HMC


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng(), dtype=torch.float64)


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


def test_hmc_that_never_accepts_says_so_once():
    sampler = HMC(steps=20, step_size=1e3, leapfrog=2)
    x = normal(32, 3)
    with pytest.warns(Notice, match=r"rejected its last 640 proposals.*-s sampler\.step_size=100$") as caught:
        ends = [sampler.sample(square, x, rng()) for _ in range(3)]
    assert len(caught) == 1
    assert all(torch.equal(end, x) for end in ends)


def test_rejections_are_counted_over_chains():
    sampler = HMC(steps=2, step_size=1e3, leapfrog=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        for _ in range(24):
            sampler.sample(square, normal(10, 3), rng())
    with pytest.warns(Notice, match="last 500 proposals"):
        sampler.sample(square, normal(10, 3), rng())


def test_hmc_that_accepts_sometimes_is_silent():
    sampler = HMC(steps=50, step_size=1.9, leapfrog=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        for seed in range(20):
            end = sampler.sample(square, normal(40, 3), rng(seed))
    assert not torch.equal(end, normal(40, 3))


def test_hmc_says_that_its_starts_have_no_finite_energy():
    with pytest.warns(Notice, match="the energy is not finite where chains start: choose another init"):
        HMC(steps=20).sample(lambda x: square(x) + math.inf, normal(32, 3), rng())


def test_rejections_leave_samplers_equal():
    stuck, fresh = HMC(steps=20, step_size=1e3), HMC(steps=20, step_size=1e3)
    with pytest.warns(Notice):
        stuck.sample(square, normal(32, 3), rng())
    assert stuck == fresh
    assert repr(stuck) == repr(fresh)
