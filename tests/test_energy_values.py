"""Energies of many examples, and along chains."""

import torch
from refusing import refused
from torch import Generator

from ebmkit.energies.resnet import ResNet
from ebmkit.evaluation.energy import energies, energy_along
from ebmkit.inits.gaussian import Gaussian
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun


def rng(seed=0):
    return Generator().manual_seed(seed)


def test_energies_do_not_depend_on_the_batch_size():
    energy, x = ResNet((1, 8, 8), width=4, stages=1), torch.rand(7, 1, 8, 8, generator=rng())
    found = energies(energy, x, batch=3)
    assert not found.requires_grad
    torch.testing.assert_close(found, energy(x).detach())
    assert energy.training
    assert energies(lambda x: x.sum(1, keepdim=True), torch.ones(3, 2)).shape == (3,)


def bowl(x):
    return x.square().sum(1) / 2


def test_energy_along_a_noiseless_chain_falls_as_known():
    """Without noise x' = x / 2, so that the energy falls to a quarter in each step."""
    short = ShortRun(bowl, Langevin(steps=4, step_size=0.5, noise=0), Gaussian((3,)))
    along = energy_along(short, 50, rng())
    start = bowl(short.init.sample(50, rng()))
    factors = 0.25 ** torch.arange(5.0)
    torch.testing.assert_close(along.mean, start.mean() * factors)
    torch.testing.assert_close(along.sd, start.std() * factors)
    refused("n must be at least 2", energy_along, short, 1, rng())
