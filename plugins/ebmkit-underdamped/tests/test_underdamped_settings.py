"""Underdamped: its settings, and how the plug-in is found."""

import math
import subprocess
import sys
from importlib.metadata import entry_points
from typing import Any

import pytest
import torch
from ebmkit_underdamped.sampler import Underdamped

from ebmkit import Accelerated, Trainer, UsageError
from ebmkit.energies import ConvNet
from ebmkit.inits import Uniform
from ebmkit.methods import growing


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"step_size": 0.0},
        {"step_size": math.inf},
        {"friction": 0.0},
        {"friction": -1.0},
        {"friction": math.nan},
        {"temperature": 0.0},
        {"mass": 0.0},
        {"mass": math.nan},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        Underdamped(**settings)
    assert "\n" not in str(caught.value)


def test_the_implied_temperature_is_the_setting():
    assert Underdamped(temperature=0.3).implied_temperature == 0.3


def test_it_trains_an_energy_while_its_chains_grow():
    torch.manual_seed(0)
    energy, rng = ConvNet((1, 8, 8), width=4), torch.Generator().manual_seed(0)
    sampler = Underdamped(steps=4, step_size=1.0, temperature=5e-5)
    optimizer = torch.optim.Adam(energy.parameters(), lr=1e-3)
    before = energy.layers[0].weight.detach().clone()
    fast = Accelerated(energy)
    trainer = Trainer(
        energy, sampler, Uniform((1, 8, 8)), optimizer, rng, steps=growing(1, 4, 3), accelerate=fast.refreshed
    )
    gaps = [trainer.update(torch.zeros(8, 1, 8, 8)).scalars["gap"] for _ in range(5)]
    assert all(map(math.isfinite, gaps))
    assert not torch.equal(energy.layers[0].weight, before)


def test_the_entry_point_names_the_sampler():
    (entry,) = entry_points(group="ebmkit", name="underdamped")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    assert module.samplers() == {"underdamped": f"{Underdamped.__module__}:{Underdamped.__qualname__}"}


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_underdamped; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
