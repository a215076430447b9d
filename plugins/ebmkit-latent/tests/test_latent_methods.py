"""The methods: the kit's checks, learning rates, inference, what they draw, and settings out of range."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ebmkit_latent.damc import DAMC
from ebmkit_latent.diffusion import ReverseDiffusion
from ebmkit_latent.latent_ebm import LatentEBM
from torch import Generator

from ebmkit import UsageError, energy_values
from ebmkit.inits import Gaussian
from ebmkit.testing import conforms

SMALL = {"embedding": 4, "width": 4, "denoising_steps": 5, "distillations": 2, "target_every": 2}


@conforms("method", LatentEBM, shape=(1, 8, 8), latent=3)
def test_latent_ebm_conforms(check: Callable[[], None]):
    check()


@conforms("method", DAMC, shape=(1, 8, 8), latent=3, **SMALL)
def test_damc_conforms(check: Callable[[], None]):
    check()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (LatentEBM, {"latent": 0}),
        (LatentEBM, {"sigma": 0.0}),
        (LatentEBM, {"decay": 1.5}),
        (LatentEBM, {"decay_every": 0}),
        (DAMC, {"least_rate": -1.0}),
        (DAMC, {"distillations": 0}),
        (DAMC, {"unconditional": 1.1}),
        (DAMC, {"target_rate": 0.0}),
        (DAMC, {"target_every": 0}),
        (DAMC, {"embedding": 0}),
        (DAMC, {"width": 0}),
        (DAMC, {"denoising_steps": 1}),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(problem, kind, settings):
    given = {"latent": 3, "sigma": 0.3, **(SMALL if kind is DAMC else {}), **settings}
    problem.d, problem.sigma = given.pop("latent"), given.pop("sigma")
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        problem.method(kind, steps=1, s=0.1, n=2, **given)
    assert "\n" not in str(caught.value)


def test_learning_rates_fall_as_published(problem):
    latent = problem.method(steps=1, s=0.1, n=2)
    damc = problem.method(DAMC, steps=1, s=0.1, n=2, **SMALL)
    optimizer: Any = SimpleNamespace(param_groups=[{"initial_lr": 1e-4}])
    for index, due in ((0, 1.0), (732, 1.0), (733, 0.998), (73_300, 0.998**100)):
        latent.index = index
        assert latent.rate_factor(optimizer) == pytest.approx(due)
    for index, due in ((999, 1.0), (1000, 0.99), (3500, 0.99**3), (10**6, 0.1)):  # 0.1: not below 1e-5
        damc.index = index
        assert damc.rate_factor(optimizer) == pytest.approx(due)
    damc.schedule = lambda index: 0.5
    assert damc.rate_factor(optimizer) == pytest.approx(0.05)
    optimizer.param_groups[0]["initial_lr"] = 1e-6  # below the least rate from the beginning
    assert damc.rate_factor(optimizer) == pytest.approx(0.5)


def test_the_energy_goes_down_at_inferred_z_and_up_at_samples(problem):
    """Its gradient is that of mean E(z) - mean E(fake), whatever their numbers."""
    method = problem.method(steps=1, s=0.1, n=2)
    z, fake = torch.randn(4, 3, generator=Generator().manual_seed(0)), torch.randn(8, 3, generator=method.rng)
    method.fit_energy(z, fake, {}, {})
    due = (problem.a @ (fake.mean(0) - z.mean(0)) + problem.a.T @ (fake.mean(0) - z.mean(0))) / 2
    torch.testing.assert_close(method.energy.c.grad, due)


def test_an_init_stores_the_ends_of_the_chains_that_it_began(problem, monkeypatch):
    stored = []
    monkeypatch.setattr(Gaussian, "remember", lambda self, x: stored.append(len(x)))
    for kind, settings in ((LatentEBM, {}), (DAMC, SMALL)):
        problem.method(kind, steps=1, s=0.1, n=4, **settings).update(problem.x.repeat(4, 1))
    assert stored == [4, 4]  # of the 8 chains of damc, 4 began at the diffusion


def test_damc_draws_as_its_setting_says(problem):
    method = problem.method(DAMC, steps=2, s=0.1, n=2, **SMALL)
    by_diffusion = method.short_run()
    assert isinstance(by_diffusion.sampler, ReverseDiffusion)
    assert by_diffusion.sampler.steps == 5
    assert by_diffusion.posterior.noise == 0
    method.draw = "chain"
    by_chain = method.short_run()
    assert by_chain.sampler is method.sampler
    assert by_chain.posterior is method.posterior


def test_a_long_run_goes_on_from_the_diffusion_by_chains_of_the_prior(problem):
    method = problem.method(DAMC, steps=2, s=0.1, n=2, **SMALL)
    short, rng = method.short_run(), Generator().manual_seed(1)
    points = list(short.long_run(6, Generator().manual_seed(1), times=2))
    z = short.sampler.sample(short.energy, short.init.sample(6, rng), rng)
    assert torch.equal(points[0].z, z)
    for point in points[1:]:
        z = method.sampler.with_steps(5).sample(short.energy, z, rng)
        torch.testing.assert_close(point.z, z)
    assert [point.step for point in points] == [0, 5, 10]  # as those of the diffusion
    assert points[2].energy is not None
    method.draw = "chain"
    by_chain = next(method.short_run().long_run(6, Generator().manual_seed(1)))
    assert torch.equal(by_chain.z, short.init.sample(6, Generator().manual_seed(1)))


def test_inference_begins_at_the_diffusion_and_descends_the_posterior(problem):
    method = problem.method(DAMC, steps=2, s=0.1, n=2, **SMALL)
    short, x = method.short_run(), problem.x.repeat(6, 1)
    states = list(short.inferred(x, Generator().manual_seed(1), steps=5))
    assert torch.equal(states[0], short.guess(x, Generator().manual_seed(1)))
    energy = method.posterior_of(x)
    z = states[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(z).sum(), z)
    torch.testing.assert_close(states[1], states[0] - 0.005 * gradient)
    values = torch.stack([energy_values(energy, z) for z in states])
    assert bool((values.diff(dim=0) < 0).all())
    assert len(states) == 6  # also where chains of 2 steps do not end with the last


def test_a_reconstruction_keeps_the_best_so_far(problem):
    short = problem.method(steps=4, s=0.3, n=2).short_run()
    x = problem.x.repeat(3, 1)
    found = short.reconstruct(x, Generator().manual_seed(0), updates=9, at=(0, 9))
    assert found.error.shape == (10, 3)
    assert bool((found.error.diff(dim=0) <= 0).all())
    torch.testing.assert_close((short.decoded(found.z) - x).square().mean(1), found.error[-1])
    torch.testing.assert_close(found.kept[9], found.x)
    for settings in ({"lr": 0.1}, {"method": "adam"}, {"gradient": "full"}):
        with pytest.raises(UsageError, match="leave out lr, method and gradient"):
            short.reconstruct(x, Generator(), **settings)
    with pytest.raises(UsageError, match="x must be finite and of the shape of samples"):
        short.reconstruct(x[:, :2], Generator())


def test_a_path_between_inferred_z_is_decoded_without_chains(problem):
    short = problem.method(steps=4, s=0.3, n=2).short_run()
    z1, z2 = torch.randn(2, 4, 3, generator=Generator().manual_seed(2))
    found = short.interpolate_inferred(z1, z2, 3)
    torch.testing.assert_close(found[[0, 2]], torch.stack([short.decoded(z1), short.decoded(z2)]))
    assert not torch.allclose(short.interpolate(z1, z2, 3)[0], found[0])


def test_an_anomaly_score_is_squared_error_and_energy_of_the_prior(problem):
    method = problem.method(steps=20, s=0.1, n=2)
    short, x = method.short_run(), torch.cat([problem.x, problem.x + 10])
    found = short.anomaly_scores(x, Generator().manual_seed(0), steps=25)
    *_, z = short.inferred(x, Generator().manual_seed(0), steps=25)
    due = (x - method.generator(z)).square().sum(1) + method.energy(z) + z.square().sum(1) / 2
    torch.testing.assert_close(found, due.detach())
    assert found[1] > found[0]


def test_importing_the_plug_in_does_not_import_torch():
    (entry,) = entry_points(group="ebmkit", name="latent")
    module = entry.load()
    assert set(module.methods()) == {"latent-ebm", "damc"}
    assert set(module.networks()) == {"deconvnet", "encodernet"}
    assert "damc-digits.toml" in {file.name for file in module.presets().iterdir()}
    code = "import sys, ebmkit_latent; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
