"""More bad input to `ebmkit train`: numbers, names, and settings of other parts."""

import re
from pathlib import Path

import pytest
import torch
from commands import refused

from ebmkit import UsageError, register
from ebmkit.config.layers import typed
from ebmkit.config.resolution import merged, resolve
from ebmkit.runs.folder import new_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

LONG = "n" * 300

REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "a bank smaller than the batch": (
        ("--init", "replay", "-s", "init.size=4"),
        "buffer holds 4 chains, not 8",
    ),
    "train.use": (("--config", "nine.toml", "-s", "train.use=foo"), "train has no setting 'use'"),
    "watcher's use": (("-s", "watch.metrics.use=foo"), "watch.metrics has no setting 'use'"),
    "learning rate nan": (("-s", "optimizer.lr=nan"), "optimizer.lr must be finite, not nan"),
    "learning rate inf": (("-s", "optimizer.lr=inf"), "optimizer.lr must be finite, not inf"),
    "iterations": (("--iterations", f"1{'0' * 30}"), "train.iterations must be at most"),
    "threads": (("-s", "train.threads=99999999999"), "train.threads must be at most"),
    "seed": (("--seed", str(10**20)), "train.seed must be"),
    "steps": (("-s", "sampler.use=langevin", "--steps", "9" * 400), "sampler.steps must be at least 1"),
    "long name": (("--out", LONG), "File name too long"),
    "no such user": (("--data", "arrays", "-s", "data.path=~nosuchuser/x"), "cannot use '~nosuchuser/x' as a path"),
    "resize to nothing": (("-s", "data.fit=resize"), "add -s data.size=32"),
    "depth of a convnet": (("-s", "energy.depth=2"), "'depth' belongs to energy 'mlp'"),
    "schedule in print": (("--print-config", "-s", "train.schedule_from=-7"), "train.schedule_from must be"),
    "noise in print": (("--print-config", "-s", "sampler.noise=nan"), "sampler.noise must be at least 0, not nan"),
    "no pictures, dry": (("--dry-run", "-s", "watch.pictures.count=0"), "watch.pictures.count must be at least 1"),
    **{
        name: (("-s", f"optimizer.{name}=true"), f"optimizer has no setting '{name}'")
        for name in ("capturable", "differentiable", "foreach", "fused", "maximize")
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_settings_are_refused_in_one_line(case):
    Path("nine.toml").write_text("[train]\niterations = 9\n")
    words, message = REFUSED[case]
    defaults = {"--steps": "3", "--batch-size": "8", "--out": "a"}
    missing = [word for option, value in defaults.items() if option not in words for word in (option, value)]
    assert message in refused("train", *words, *missing, "-s", "energy.width=4")


def test_use_in_the_train_section_drops_no_settings():
    notes: list[str] = []
    layers = [typed(["train.iterations=9"]), typed(["train.use=foo"])]
    assert merged(layers, "train", notes)["iterations"].value == 9
    assert notes == []


def test_resuming_from_an_impossible_name_is_refused():
    assert LONG in refused("train", "--resume", LONG)


def test_a_recipe_that_cannot_be_written_leaves_no_folder():
    recipe = resolve([]).with_value("data", "path", "u\udcff", "test")
    with (
        pytest.raises(UsageError, match=r"cannot write config\.toml"),
        new_folder(Path("a"), recipe, torch.device("cpu")),
    ):
        pass
    assert not Path("a").exists()


class NoChain:
    """A class that is no sampler."""


class NoMemory:
    """An init distribution that is not a subclass of the interface."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        return torch.zeros(n, *self.shape)


@pytest.mark.parametrize(
    ("kind", "target", "given", "expected"),
    [
        ("energy", lambda shape: lambda x: x.flatten(1).sum(1), "function", "torch.nn.Module"),
        ("sampler", NoChain, "NoChain", "ebmkit.Sampler"),
        ("init", NoMemory, "NoMemory", "ebmkit.InitDistribution"),
    ],
)
def test_a_part_of_another_type_is_refused_with_its_package(kind, target, given, expected):
    register(kind, "odd", target)
    width = () if kind == "energy" else ("-s", "energy.width=4")
    steps = () if kind == "sampler" else ("--steps", "3")
    line = refused("train", f"--{kind}", "odd", *steps, *width, "--batch-size", "8", "--out", "a")
    assert re.search(rf"{kind} 'odd' returned an? {given}, not an? {expected}\b", line), line
    assert f"(in {kind} 'odd' from registered in this session)" in line
