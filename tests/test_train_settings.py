"""Settings of `ebmkit train`: where they come from, how they are printed, and what a dry run says."""

import re
from pathlib import Path
from typing import Any

import pytest
from commands import SMALL, everything, printed, train

from ebmkit import Sampler, State, register

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_later_layers_win_and_every_value_has_its_origin():
    Path("a.toml").write_text("[sampler]\nsteps = 7\nnoise = 0.25\n\n[energy]\nwidth = 9\n")
    words = ("--preset", "short-run-code", "--config", "a.toml", "--steps", "5", "-s", "energy.slope=0.1")
    tables, text = printed(*words, "-s", "data.path=x.npy")
    assert tables["sampler"]["steps"] == 5
    assert tables["sampler"]["noise"] == 0.25
    for line in (
        "steps = 5  # --steps",
        "noise = 0.25  # a.toml:3",
        "width = 9  # a.toml:6",
        "slope = 0.1  # -s energy.slope",
        'clip = "none"  # default',
    ):
        assert line in text.splitlines()
    assert re.search(r"# preset short-run-code:\d+$", text, re.MULTILINE)


def test_the_printed_configuration_can_be_read_back():
    words = ("--sampler", "hmc", "--init", "replay", "-s", "train.average=0.9", "-s", "watch.pictures.every=7")
    tables, text = printed(*words, "-s", "data.classes=[1,2]", "--seed", "3")
    Path("a.toml").write_text(text)
    assert printed("--config", "a.toml")[0] == tables
    assert everything().keys() == {"a.toml"}
    assert tables["watch"]["pictures"]["every"] == 7
    assert tables["data"]["classes"] == [1, 2]


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        (("--energy", "mlp"), "energy.use", "mlp"),
        (("--sampler", "hmc"), "sampler.use", "hmc"),
        (("--init", "replay"), "init.use", "replay"),
        (("--data", "moons"), "data.use", "moons"),
        (("--steps", "5"), "sampler.steps", 5),
        (("--iterations", "5"), "train.iterations", 5),
        (("--batch-size", "5"), "train.batch_size", 5),
        (("--seed", "5"), "train.seed", 5),
        (("--device", "cpu"), "train.device", "cpu"),
        (("--precision", "bf16"), "train.precision", "bf16"),
        (("--samples-every", "5"), "watch.pictures.every", 5),
        (("-s", "optimizer.lr=1e-3"), "optimizer.lr", 1e-3),
        (("--set", "optimizer.use=SGD"), "optimizer.use", "SGD"),
    ],
)
def test_every_short_option_sets_its_setting(words, path, value):
    table: Any = printed(*words)[0]
    for key in path.split("."):
        table = table[key]
    assert table == value


def test_every_preset_can_be_printed():
    from ebmkit.config.layers import presets

    for name in presets():
        assert printed("--preset", name, "--data", "digits")[0]["energy"]["use"]


@pytest.mark.parametrize(
    ("words", "passes"), [(("--sampler", "langevin"), 3), (("--sampler", "hmc", "-s", "sampler.leapfrog=2"), 7)]
)
def test_a_dry_run_prints_the_cost_and_writes_nothing(words, passes):
    stdout, stderr = train(*SMALL, *words, "--iterations", "1000", "--dry-run", quiet=False)
    values = dict(line.partition(" (")[0].split("=") for line in stdout.splitlines())
    assert values["network_passes_per_update"] == str(passes + 2)
    assert values["parameters"] == str(4 * 9 + 4 + 4 * 8 * 16 + 8 + 8 * 16 + 1)
    seconds = float(values["seconds_per_update"])
    assert float(values["estimated_total_seconds"]) == pytest.approx(1000 * seconds, abs=1)
    assert "K=3 chain steps x 1000 updates" in stderr
    assert everything() == {}


class Shaped(Sampler):
    """A sampler that asks for the shape of the examples.

    Args:
        steps: How many steps.
    """

    def __init__(self, shape, *, steps: int = 1):
        self.shape, self.steps = shape, steps

    def chain(self, energy, x, rng):
        yield State(x, {})


def test_a_sampler_that_asks_for_the_shape_can_be_printed():
    register("sampler", "shaped", Shaped)
    assert printed("--sampler", "shaped")[0]["sampler"] == {"use": "shaped", "steps": 1}
