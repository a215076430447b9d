"""A run of a method with several networks, samplers and optimisers, whose chains run in a latent space."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from commands import invoked
from cooperative_learning import CooperativeLearning
from latent_method import Adapting, TinyLatent

from ebmkit.cli.opening import chains_of_reconstruction
from ebmkit.errors import Diverged, Notice, UsageError
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.model import load, open_model
from ebmkit.runs.training import new_run
from ebmkit.runs.usable import is_rollback
from ebmkit.shortrun import ShortRun
from ebmkit.watchers.alarms import AlarmDetector
from ebmkit.watchers.divergence import scale_of

# z and x are points in the plane both, so that a mistake is no error of shapes.
SMALL = {
    "method": {"use": "tiny"},
    "data": {"use": "gaussians", "count": 200},
    "train": {"iterations": 6, "threads": 1},
    "watch": {"pictures": {"every": 0}, "checkpoints": {"every": 2}},
}


@pytest.fixture(autouse=True)
def tiny(registered):
    registered("method", "tiny", TinyLatent)
    registered("sampler", "adapting", Adapting)


def run_of(folder=None, **sections):
    changed = {name: {**SMALL.get(name, {}), **values} for name, values in sections.items()}
    return new_run({**SMALL, **changed}, folder)


def test_a_rollback_lowers_the_rates_of_all_optimisers(tmp_path):
    rising = {"on_divergence": "rollback", "rollbacks": 1, "rollback_factor": 0.5}
    run = run_of(tmp_path / "run", train={**rising, "iterations": 30}, optimizer={"lr": 1e9})
    with (
        pytest.warns(Notice, match=r"to update 0, .*, optimizer.lr 5e\+08 and generator_optimizer.lr 0.001"),
        pytest.raises(Diverged) as error,
    ):
        list(run.train())
    rates = {name: one.param_groups[0]["initial_lr"] for name, one in run.trainer.optimizers.items()}
    assert rates == {"optimizer": 5e8, "generator_optimizer": 1e-3}
    (event,) = run.events
    assert event["rates"] == rates
    first = next(
        json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines() if "event" in line
    )
    assert first["rates"] == rates
    assert float(
        read_checkpoint(tmp_path / "run", "checkpoint-before.pt").trainer["posterior"]["size"]
    ) == pytest.approx(0.1)
    message = str(error.value)
    assert "try a lower optimizer.lr, a lower generator_optimizer.lr, or more train.data_noise" in message
    assert message.endswith("-s optimizer.lr=0.001 -s generator_optimizer.lr=0.0002")


class Scaled(TinyLatent):
    """A method with a setting of drawing.

    Args:
        latent: Length of z.
        scale: Factor of the samples.
    """

    drawing = ("scale",)

    def __init__(self, parts, shape, *, latent: int = 2, scale: float = 1.0):
        super().__init__(parts, shape, latent=latent)
        self.scale = scale

    def short_run_of(self, networks):
        short = super().short_run_of(networks)
        return ScaledShortRun(short.energy, short.sampler, short.init, decode=short.decode, scale=self.scale)


@dataclass(frozen=True)
class ScaledShortRun(ShortRun):
    """A model with an inference of its own."""

    scale: float = 1.0

    def decoded(self, z, *, batch=64):
        return self.scale * super().decoded(z, batch=batch)

    def reconstruct(self, x, rng, **settings):
        return super().reconstruct(x, rng, **settings)


@pytest.fixture
def scaled(registered, tmp_path, monkeypatch):
    registered("method", "tiny", Scaled)
    monkeypatch.chdir(tmp_path)
    list(run_of(tmp_path / "run").train())


@pytest.mark.usefixtures("scaled")
def test_settings_of_drawing_are_changed_by_commands():
    invoked("sample", "run", "-n", 3, "--out", "one.npy")
    invoked("sample", "run", "-n", 3, "-s", "method.scale=2", "--out", "two.npy")
    one, two = np.load("one.npy"), np.load("two.npy")
    assert np.array_equal(2 * one, two)
    rng = torch.Generator().manual_seed(0)
    assert np.array_equal(two, load("run", method={"scale": 2.0}).sample(3, rng).numpy())
    invoked("export", "run", "model.safetensors")
    invoked("sample", "model.safetensors", "-n", 3, "-s", "method.scale=2", "--out", "three.npy")
    assert np.array_equal(two, np.load("three.npy"))
    words = ["evaluate", "run", "-n", 20, "-s", "method.scale=3", "--json"]
    assert json.loads(invoked(*words)[0])["drawing"] == {"scale": 3.0}
    invoked("reconstruct", "run", "-n", 2, "--updates", 2, "-s", "method.scale=3", "--out", "r.png")
    invoked("interpolate", "run", "--rows", 2, "--columns", 2, "-s", "method.scale=3", "--out", "i.png")
    invoked("long-run", "run", "-n", 2, "--times", 1, "-s", "method.scale=3", "--out", "l.png")


@pytest.mark.usefixtures("scaled")
def test_other_settings_of_a_method_are_refused_for_a_model(registered):
    _, stderr = invoked("sample", "run", "-s", "method.latent=3", code=2)
    assert "error: method.latent is no setting of drawing by method 'tiny': only scale of it can be changed" in stderr
    with pytest.raises(UsageError, match=r"method\.use is no setting of drawing"):
        load("run", method={"use": "jem"})
    _, stderr = invoked("sample", "run", "-s", "method.scale=much", code=2)
    assert stderr == "error: method.scale must be float, not 'much'.\n"
    registered("method", "tiny", TinyLatent)
    list(run_of("other", train={"iterations": 1}).train())
    _, stderr = invoked("sample", "other", "-s", "method.latent=3", code=2)
    assert "it has none that can be changed for a model" in stderr


@pytest.mark.usefixtures("scaled")
def test_the_passes_of_an_inference_of_its_own_are_not_estimated():
    assert chains_of_reconstruction(open_model("run"), 10) is None


@pytest.mark.parametrize("use", ["data", "fitted", "mixture"])
def test_chains_in_a_latent_space_do_not_start_from_the_data(use):
    message = r"starts chains from the data, but those of method 'tiny' run in a space of their own, of shape \(2,\)"
    with pytest.raises(UsageError, match=message):
        run_of(init={"use": use})


def test_rates_that_are_no_numbers_are_no_rollback():
    event = {"update": 3, "to_update": 0, "lr": 0.1, "gradient_penalty": None}
    assert is_rollback({**event, "rates": {"optimizer": 0.1}})
    assert not is_rollback({**event, "rates": {"optimizer": "much"}})
    assert not is_rollback({**event, "rates": [0.1]})


def test_long_steps_in_a_latent_space_are_no_divergence():
    run = run_of(method={"latent": 50}, sampler={"steps": 2, "noise": 5.0}, train={"iterations": 25})
    assert scale_of(run.trainer, run.examples).diagonal == math.inf
    indices = torch.arange(12)
    detector = AlarmDetector({})
    for _ in range(25):
        update = run.update(run.examples.fetch(indices), indices=indices)
        assert update.scalars["displacement"] > 2 * math.sqrt(2)  # the diagonal of the data
        assert detector.alarm(update.scalars, scale_of(run.trainer, run.examples)) is None


def test_chains_without_energies_are_compared_with_their_past():
    scalars = {"displacement": 1.0, "end_gradient": 1.0, "gradient_norm": 1.0}
    detector = AlarmDetector({})
    assert not any(detector.alarm(scalars) for _ in range(80))
    risen = {name: 100 * value for name, value in scalars.items()}
    found = [detector.alarm(risen) for _ in range(5)][-1]
    assert found is not None
    assert math.isnan(found.gap)


def test_steps_of_chains_among_the_examples_are_compared_with_their_noise(registered):
    registered("method", "cooperative", CooperativeLearning)
    parts = {"method": {"use": "cooperative"}, "energy": {"use": "mlp"}, "sampler": {"step_size": 0.01, "noise": 0.05}}
    run = new_run({**parts, "data": SMALL["data"]})
    scale = scale_of(run.trainer, run.examples)
    assert scale.noise == pytest.approx(0.05 * math.sqrt(2))
    assert scale.step_size == 0.01
    assert scale.diagonal >= 2 * math.sqrt(2)


def test_the_noise_of_chains_among_the_examples_is_in_the_metrics(registered, tmp_path):
    registered("method", "cooperative", CooperativeLearning)
    parts = {"energy": {"use": "mlp"}, "sampler": {"step_size": 0.01, "noise": 0.05}, "data": SMALL["data"]}
    settings = {"train": {"iterations": 1}, "watch": SMALL["watch"]}
    list(new_run({**parts, **settings, "method": {"use": "cooperative"}}, tmp_path / "a").train())
    list(run_of(tmp_path / "b", train={"iterations": 1}).train())
    one, other = (json.loads((tmp_path / name / "metrics.jsonl").read_text()) for name in "ab")
    assert one["noise_size"] == pytest.approx(0.05 * math.sqrt(2))
    assert "noise_size" not in other
