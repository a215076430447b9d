"""Runs of `ebmkit train` with unusual parts, and their record."""

import re
from pathlib import Path

import pytest
import torch
from commands import BLIND, PLAIN, SMALL, objects, train
from einops import rearrange
from torch import nn

from ebmkit import Energy, register
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.registry.component import BUILT_IN
from ebmkit.registry.lookup import get_registry
from ebmkit.runs.device import place_on

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_pictures_may_show_more_chains_than_a_buffer_holds():
    pictures = ("-s", "watch.pictures.every=1", "-s", "watch.pictures.count=16")
    words = (*PLAIN, "-s", "energy.width=4", "--init", "replay", "-s", "init.size=10", "--iterations", "3", *pictures)
    assert train(*words, "--out", "a") == ("a\n", "")
    assert sorted(path.name for path in Path("a/samples").iterdir()) == ["000001.png", "000002.png", "000003.png"]


def test_the_readme_has_no_placeholders():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert not re.findall(r"^[A-Z_]+$", text, re.MULTILINE)


class Volume(Energy):
    """Convolves in three dimensions."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = nn.Conv3d(shape[0], 2, (1, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(rearrange(x, "b c h w -> b c 1 h w")).flatten(1).sum(1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_three_dimensional_convolutions_can_be_trained(precision):
    energy = Volume((1, 8, 8))
    place_on(energy, torch.device("cpu"))
    assert Accelerated(energy, precision=precision).value_and_grad(torch.zeros(2, 1, 8, 8))[0].shape == (2,)
    register("energy", "volume", Volume)
    train(*BLIND, "--energy", "volume", "--precision", precision, "--iterations", "1", "--out", "a")


def test_a_quiet_dry_run_prints_one_json_object():
    stdout, stderr = train(*SMALL, "--iterations", "7", "--dry-run", "--json")
    (values,) = objects(stdout)
    assert values["updates"] == 7
    assert stderr == ""


def test_every_energy_names_its_source():
    energies = [one for one in get_registry().of_kind("energy") if one.plugin is BUILT_IN]
    assert [one.name for one in energies if "Source:" not in (one.load().__doc__ or "")] == []
    assert len(energies) > 3


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_and_its_repetition_have_the_same_settings(optimizer):
    words = ("-s", f"optimizer.use={optimizer}", "--iterations", "1")
    train(*SMALL, *words, "--out", "a")
    train("--config", "a/config.toml", "--out", "b")
    text = Path("a/config.toml").read_text()
    assert re.search(r"^weight_decay = ", text, re.MULTILINE)
    assert Path("b/config.toml").read_text() == text
