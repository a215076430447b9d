"""A run of a method with several networks, samplers and optimisers, whose chains run in a latent space."""

import json
import math

import pytest
import torch
from latent_method import Adapting, TinyLatent

from ebmkit.errors import Diverged, Notice
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.training import new_run
from ebmkit.runs.usable import is_rollback
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
