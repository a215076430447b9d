"""Tilts that have no Z, chains that are longer than those of the training, and trainings that run away."""

import json

import pytest
import torch
from ebmkit_neural_transport.affine import AffineFlow
from ebmkit_neural_transport.tilt import LatentEnergy
from torch import nn

from ebmkit import Diverged, ShortRun, load
from ebmkit.inits import Gaussian
from ebmkit.runs import train
from ebmkit.samplers import Langevin

K = 5


class Falling(nn.Module):
    """E(x) = -2 |x|²: it outweighs the tails of N(0, I)."""

    def forward(self, x):
        return -2 * x.square().sum(1)


def largest(bound, times):
    """The largest |x| where chains of `times` K steps end, with a tilt that falls without bound."""
    flow = AffineFlow((2,), (2,))
    latent = LatentEnergy(Falling(), flow, bound)
    short = ShortRun(latent, Langevin(steps=K, step_size=0.05, noise=0.1**0.5), Gaussian((2,)), decode=flow)
    *_, last = short.long_run(200, torch.Generator().manual_seed(1), times=times)
    return float(last.x.detach().norm(dim=1).max())


def test_a_bound_keeps_chains_of_any_length_where_the_density_is():
    # U rises where |z|²/2 has risen by more than twice the bound: |z| is at most about sqrt(4 bound).
    assert largest(5.0, 10) < 2 * (4 * 5.0) ** 0.5
    assert largest(None, 10) > 100 * largest(5.0, 10)
    assert largest(None, 1) < 10  # chains of K steps hide it


def settings(**changes):
    found = {
        "method": {"use": "nt-ebm", "flow_iterations": 100},
        "energy": {"width": 32, "depth": 3},
        "flow": {"layers": 2, "width": 8},
        "sampler": {"use": "adaptive-hmc", "steps": K},
        "data": {"use": "gaussians", "count": 500},
        "optimizer": {"lr": 3e-3},
        "train": {"iterations": 160, "batch_size": 32, "data_noise": 0.0, "device": "cpu", "threads": 1},
        "watch.pictures": {"every": 0},
    }
    return {section: {**values, **changes.get(section, {})} for section, values in found.items()}


def test_chains_of_ten_times_the_trained_length_do_not_blow_up(tmp_path):
    list(train(settings(), folder=tmp_path / "a"))
    short = load(tmp_path / "a")
    _, once, *_, ten = short.long_run(300, torch.Generator().manual_seed(2), times=10)
    for values in (lambda point: point.z.norm(dim=1), lambda point: point.x.norm(dim=1)):
        assert float(values(ten).max()) < 2 * float(values(once).max())
    spread = ten.x.std(0) / once.x.std(0)
    assert 0.8 < float(spread.min()) <= float(spread.max()) < 1.25


def test_a_training_that_runs_away_is_stopped_early(tmp_path):
    """Steps that the chains cannot adapt, and a rate that is much too high: the energies grow exponentially."""
    wild = settings(
        method={"bound": None},
        sampler={"use": "hmc", "steps": 2, "step_size": 1.0, "leapfrog": 3},
        optimizer={"lr": 0.05},
        train={"iterations": 400, "lr_schedule": "constant"},
    )
    with pytest.raises(Diverged, match="the learning rate is too high"):
        list(train(wild, folder=tmp_path / "a"))
    updates = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert 100 < len(updates) < 300
    assert max(abs(update.get("real_energy", 0.0)) for update in updates) < 1000
