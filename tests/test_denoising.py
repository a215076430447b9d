"""Denoising score matching: its optimum is the smoothed density, and its runs are ordinary runs."""

import pytest
import torch
from commands import invoked
from torch import nn

import ebmkit.runs
from ebmkit.errors import UsageError
from ebmkit.methods.denoising import DenoisingScoreMatching
from ebmkit.methods.penalties import gradients

MEAN, SD, SIGMA = 0.4, 0.5, 0.3


class Parabola(nn.Module):
    """(x - mean)² / (2 variance)."""

    def __init__(self, variance, mean=MEAN):
        super().__init__()
        self.mean, self.variance = nn.Parameter(torch.tensor(mean)), nn.Parameter(torch.tensor(variance))

    def forward(self, x):
        return (x - self.mean).square().sum(1) / (2 * self.variance)


class Stepping(DenoisingScoreMatching):
    """The method of an energy, which keeps the gradients of its loss and makes no step."""

    sigma = SIGMA

    def __init__(self, energy):
        self.energy, self.slopes = energy, []
        self.optimizer = torch.optim.SGD(energy.parameters(), lr=0.0)
        self.begin(torch.Generator().manual_seed(1))

    def descend(self, loss, optimizer, scalars=None):
        self.slopes.append(torch.stack(torch.autograd.grad(loss, list(self.energy.parameters()), retain_graph=True)))
        return super().descend(loss, optimizer, scalars)


def slope_z(method):
    """The largest |z| of the mean gradient of the loss, over updates on examples of N(MEAN, SD²)."""
    rng = torch.Generator().manual_seed(0)
    for _ in range(300):
        method.update(MEAN + SD * torch.randn(100, 1, generator=rng))
    slopes = torch.stack(method.slopes)
    return float((slopes.mean(0) / (slopes.std(0) / len(slopes) ** 0.5)).abs().max())


def test_the_smoothed_density_of_a_gaussian_is_the_optimum():
    assert slope_z(Stepping(Parabola(SD**2 + SIGMA**2))) < 5


@pytest.mark.parametrize("energy", [Parabola(SD**2), Parabola(SD**2 + SIGMA**2, mean=0.3)], ids=["sharp", "moved"])
def test_the_test_of_the_optimum_detects_another_energy(energy):
    assert slope_z(Stepping(energy)) > 5


class Backwards(Stepping):
    """The gradient points along the noise instead of against it."""

    def update(self, batch):
        noise = torch.randn(batch.shape, generator=self.rng)
        _, gradient = gradients(self.energy, batch + self.sigma * noise)
        return self.finish(self.descend((self.sigma * gradient + noise).square().sum(1).mean() / 2, self.optimizer))


def test_the_test_of_the_optimum_detects_a_wrong_sign():
    assert slope_z(Backwards(Parabola(SD**2 + SIGMA**2))) > 5


def test_it_learns_a_density_and_draws_from_it(tmp_path):
    settings = {
        "method": {"use": "denoising", "sigma": 0.3},
        "energy": {"use": "mlp", "width": 32},
        "data": {"use": "gaussians", "modes": 2, "radius": 1.0, "scale": 0.2},
        "sampler": {"steps": 60, "step_size": 0.02, "noise": 0.2},
        "optimizer": {"lr": 0.01},
        "train": {"iterations": 150, "batch_size": 128, "threads": 1},
        "watch": {"pictures": {"every": 0}},
    }
    updates = list(ebmkit.runs.train(settings, folder=tmp_path / "run"))
    assert updates[-1].fake is None
    assert set(updates[-1].scalars) == {"loss", "gradient_norm"}
    x = ebmkit.load(tmp_path / "run").sample(400, torch.Generator().manual_seed(0), batch=400)
    assert float((x[:, 0].abs() - 1).abs().median()) < 0.35
    stdout, _ = invoked("show", "method", "denoising", env={"COLUMNS": "200"})
    for path in ("method.sigma", "energy.use", "sampler.steps", "train.data_noise", "Source: Vincent"):
        assert path in stdout


def test_a_sigma_of_zero_is_refused():
    with pytest.raises(UsageError, match=r"^method\.sigma must be above 0"):
        ebmkit.runs.new_run({"method": {"use": "denoising", "sigma": 0.0}, "energy": {"use": "mlp"}})
