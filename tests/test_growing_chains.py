"""Chains that grow while the energy is trained: their lengths, what cannot grow, the recording, the estimate."""

from typing import ClassVar

import pytest
import torch
from commands import SMALL, refused, train
from networks import SHAPE, images, network, rng

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.config.train_settings import TrainSettings
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import Sampler, State
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.schedules import growing
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin


class Counting(Langevin):
    """Notes the length of every chain."""

    lengths: ClassVar[list[int]] = []

    def chain(self, energy, x, rng):
        self.lengths.append(self.steps)
        return super().chain(energy, x, rng)


class Fixed(Sampler):
    """Has no setting `steps`."""

    def chain(self, energy, x, rng):
        yield State(x, {})


def training(sampler, steps, **settings):
    energy = network()
    optimizer = torch.optim.Adam(energy.parameters(), lr=1e-3)
    return Trainer(energy, sampler, Uniform(SHAPE), optimizer, rng(), steps=steps, **settings)


def test_the_steps_grow_linearly_to_their_full_number():
    assert [growing(2, 10, 5)(index) for index in range(1, 8)] == [2, 4, 6, 8, 10, 10, 10]
    assert [growing(2, 3, 4)(index) for index in range(1, 6)] == [2, 2, 3, 3, 3]
    assert growing(2, 10, 1)(1) == 10
    assert growing(4, 4, 9)(3) == 4


def test_each_update_has_chains_of_its_length():
    trained = training(Counting(steps=10), growing(2, 10, 5))
    Counting.lengths.clear()
    for _ in range(7):
        trained.update(images(4))
    assert Counting.lengths == [2, 4, 6, 8, 10, 10, 10]
    assert trained.sampler.steps == 10


def test_a_restored_trainer_continues_with_its_length():
    trained = training(Counting(steps=10), growing(2, 10, 5))
    for _ in range(3):
        trained.update(images(4))
    again = training(Counting(steps=10), growing(2, 10, 5))
    again.load_state_dict(trained.state_dict())
    Counting.lengths.clear()
    again.update(images(4))
    assert Counting.lengths == [8]


@pytest.mark.filterwarnings("error::ebmkit.errors.Notice")
def test_passes_are_recorded_once_for_all_lengths(monkeypatch):
    from ebmkit.acceleration import twin

    recorded, recording = [], twin.Twin.recorded
    monkeypatch.setattr(twin.Twin, "recorded", lambda self, x: recorded.append(x.shape) or recording(self, x))
    trained = training(Langevin(steps=6), growing(1, 6, 6))
    trained.accelerate = Accelerated(trained.energy).refreshed
    for _ in range(6):
        trained.update(images(4))
    assert recorded == [(4, *SHAPE)]


@pytest.mark.parametrize("sampler", [Langevin(steps=4), HMC(steps=4)], ids=["langevin", "hmc"])
def test_growth_to_the_same_length_changes_nothing(sampler):
    plain, constant = training(sampler, None), training(sampler, growing(4, 4, 9))
    for _ in range(2):
        assert torch.equal(plain.update(images(4)).fake, constant.update(images(4)).fake)


def test_chains_without_the_setting_steps_cannot_grow():
    with pytest.raises(UsageError, match="Fixed has no setting `steps`"):
        training(Fixed(), growing(1, 2, 3))


def test_first_steps_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match=r"first_steps must be at most sampler.steps, 3, not 4"):
        TrainSettings(first_steps=4).steps(3)
    with pytest.raises(UsageError, match="first_steps needs a sampler with the setting `steps`"):
        TrainSettings(first_steps=4).steps(None)
    assert TrainSettings().steps(None) is None
    for wrong in ({"first_steps": 0}, {"full_steps_from": 0}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be at least 1"):
            TrainSettings(**wrong)


@pytest.mark.usefixtures("empty_folder")
def test_the_command_line_refuses_too_many_first_steps():
    stderr = refused("train", *SMALL, "--iterations", "1", "-s", "train.first_steps=9")
    assert "train.first_steps must be at most sampler.steps, 3, not 9" in stderr


@pytest.mark.usefixtures("empty_folder")
def test_an_estimate_knows_that_chains_grow():
    growth = ("-s", "train.first_steps=1", "-s", "train.full_steps_from=1000")
    words = ("--steps", "100", *SMALL[:2], *SMALL[4:], "--iterations", "1000", *growth)
    stdout, stderr = train(*words, "--dry-run", quiet=False)
    values = dict(line.partition(" (")[0].split("=") for line in stdout.splitlines())
    assert values["network_passes_in_the_chain"] == "100"
    ratio = float(values["estimated_total_seconds"]) / (1000 * float(values["seconds_per_update"]))
    assert ratio == pytest.approx(0.505, abs=0.02)
    assert "K=100 chain steps (from 1 until update 1000) x 1000 updates" in stderr
