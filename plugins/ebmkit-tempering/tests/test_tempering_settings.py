"""Tempering: its settings, and how the plug-in is found."""

import math
import subprocess
import sys
from importlib.metadata import entry_points
from typing import Any

import pytest
from ebmkit_tempering.sampler import Tempering

from ebmkit import UsageError


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"step_size": 0.0},
        {"leapfrog": 0},
        {"replicas": 1},
        {"hottest": 1.0},
        {"hottest": math.inf},
        {"temperature": 0.0},
        {"temperature": math.nan},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        Tempering(**settings)
    assert "\n" not in str(caught.value)


def test_the_implied_temperature_is_that_of_the_coldest():
    assert Tempering(temperature=0.3).implied_temperature == 0.3


def test_the_entry_point_names_the_sampler():
    (entry,) = entry_points(group="ebmkit", name="tempering")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    assert module.samplers() == {"tempering": f"{Tempering.__module__}:{Tempering.__qualname__}"}


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_tempering; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
