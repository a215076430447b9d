"""Every switch of a recipe has an effect through the command line, and runs with a state of their own resume."""

from pathlib import Path

import pytest
import torch
from commands import SMALL, same_run, train, weights
from networks import images, network, rng

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.samplers.langevin import Langevin

pytestmark = pytest.mark.usefixtures("empty_folder")

SWITCHES = {
    "spectral_norm": ("-s", "energy.spectral_norm=true"),
    "spectral_bound": ("-s", "energy.spectral_bound=0.5"),
    "activation": ("-s", "energy.activation=silu"),
    "noise_end": ("-s", "sampler.noise_end=0"),
    "clip": ("-s", "sampler.clip=1e-4"),
    "clip_norm": ("-s", "sampler.clip_norm=1e-3"),
    "flip": ("-s", "train.flip=true"),
    "first_steps": ("-s", "train.first_steps=1", "-s", "train.full_steps_from=4"),
    "lr_schedule": ("-s", "train.lr_schedule=cosine", "-s", "train.schedule_from=2"),
    "noise_schedule": ("-s", "train.noise_schedule=cosine", "-s", "train.schedule_from=2"),
    "gradient_clip": ("-s", "train.gradient_clip=1e-3"),
    "running bound": ("-s", "train.gradient_clip=auto", "-s", "train.clip_factor=0.5"),
    "energy_l2": ("-s", "train.energy_l2=1"),
    "betas": ("-s", "optimizer.betas=[0.5,0.999]"),
}
# The running bound begins after ten updates.
UPDATES = ("--iterations", "13")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run without any switch."""
    place = tmp_path_factory.mktemp("plain") / "run"
    train(*SMALL, *UPDATES, "--out", str(place))
    return place


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_changes_what_is_trained(name, plain):
    train(*SMALL, *UPDATES, *SWITCHES[name], "--out", "switched")
    one, other = torch.cat([w.flatten() for w in weights(plain).values()]), weights("switched")
    assert not torch.equal(one, torch.cat([w.flatten() for w in other.values()]))


@pytest.mark.parametrize("name", ["flip", "first_steps", "running bound", "noise_end"])
def test_a_run_with_a_switch_resumes_bitwise(name):
    words = (*SMALL, *SWITCHES[name])
    train(*words, *UPDATES, "--out", "straight")
    train(*words, "--iterations", "11", "--out", "stopped")
    train("--resume", "stopped", *UPDATES)
    assert same_run("straight", "stopped")


def test_an_average_is_kept_beside_the_last_weights(plain):
    train(*SMALL, *UPDATES, "-s", "train.average=0.9", "--out", "averaged")
    found = {name: states["energy"] for name, states in read_checkpoint(Path("averaged")).states.items()}
    assert all(torch.equal(value, found["last"][key]) for key, value in weights(plain).items())
    name = "layers.0.weight"
    assert not torch.equal(found["average"][name], found["last"][name])


@pytest.mark.filterwarnings("error::ebmkit.errors.Notice")
@pytest.mark.parametrize("bound", [{"clip": 1e-3}, {"clip_norm": 5e-3}], ids=str)
def test_bounds_on_the_drift_use_recorded_passes(bound):
    energy, start = network(), images(4)
    fast, sampler = Accelerated(energy), Langevin(steps=5, step_size=10.0, noise=0.0, **bound)
    found, expected = (sampler.sample(one, start, rng()) for one in (fast, energy))
    free = Langevin(steps=5, step_size=10.0, noise=0.0).sample(fast, start, rng())
    assert fast.twin.replay(start) is not None
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (found - start).abs().max() <= 5 * max(bound.values()) * 1.001 < (free - start).abs().max()
