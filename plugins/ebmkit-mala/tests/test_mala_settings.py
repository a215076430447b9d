"""Mala: its settings, and how the plug-in is found."""

import math
import subprocess
import sys
from importlib.metadata import entry_points
from typing import Any

import pytest
from ebmkit_mala.sampler import Mala

from ebmkit import UsageError


def test_the_implied_temperature_is_the_setting():
    assert Mala(temperature=0.3).implied_temperature == Mala(temperature=0.3, warmup=5).implied_temperature == 0.3


def test_only_chains_without_a_warmup_promise_a_temperature():
    fixed, warm = Mala(steps=9, temperature=0.3).promises, Mala(steps=9, temperature=0.3, warmup=1).promises
    assert (fixed.temperature, fixed.reversible, fixed.gradients) == (0.3, True, 10)
    assert (warm.temperature, warm.reversible, warm.gradients) == (None, False, 10)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"step_size": 0.0},
        {"step_size": math.inf},
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"warmup": -1},
        {"warmup": 11, "steps": 10},
        {"target": 0.0},
        {"target": 1.0},
        {"target": math.nan},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        Mala(**settings)
    assert "\n" not in str(caught.value)


def test_the_entry_point_names_the_sampler():
    (entry,) = entry_points(group="ebmkit", name="mala")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    assert module.samplers() == {"mala": f"{Mala.__module__}:{Mala.__qualname__}"}


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_mala; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
