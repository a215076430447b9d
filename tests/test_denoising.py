"""Denoising score matching: its optimum is the smoothed density, and its runs are ordinary runs."""

import pytest
import torch
from commands import invoked

import ebmkit.runs
from ebmkit.errors import UsageError


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
