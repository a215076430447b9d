"""The modules of benchmarks/, and a small network for their tests; skips the tests where benchmarks/ is missing."""

import sys
from pathlib import Path

import pytest
import torch

from ebmkit.energies.convnet import ConvNet

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
contenders = pytest.importorskip("contenders", reason="benchmarks/ is not beside the tests")

import chaos  # noqa: E402
import conditions  # noqa: E402
import disks  # noqa: E402
import equality  # noqa: E402
import faults  # noqa: E402
import growth  # noqa: E402
import judge  # noqa: E402
import kill_tables  # noqa: E402
import killing  # noqa: E402
import learners  # noqa: E402
import learning  # noqa: E402
import machine  # noqa: E402
import parity  # noqa: E402
import quality  # noqa: E402
import race  # noqa: E402
import racing  # noqa: E402
import results  # noqa: E402
import tables  # noqa: E402
import timing  # noqa: E402
import undisturbed  # noqa: E402

__all__ = [
    "chaos",
    "conditions",
    "contenders",
    "disks",
    "equality",
    "faults",
    "growth",
    "judge",
    "kill_tables",
    "killing",
    "learners",
    "learning",
    "machine",
    "parity",
    "quality",
    "race",
    "racing",
    "results",
    "tables",
    "timing",
    "undisturbed",
]

CPU = torch.device("cpu")
LANGEVIN = conditions.LANGEVIN
BOTH = (LANGEVIN, conditions.noiseless(LANGEVIN))


def network(activation="silu"):
    torch.manual_seed(0)
    return ConvNet((3, 8, 8), width=4, activation=activation)


def examine(rivals, rules=BOTH, energy=None):
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    energy = network() if energy is None else energy
    return parity.check_parity(rivals, parity.with_slope(energy, x), rules, x, 4)


def another(name, change, base=contenders.plain_langevin, precision="fp32"):
    """A contender that applies other settings than it is given."""
    return contenders.Contender(name, lambda energy, rule: base(energy, change(rule)), precision)
