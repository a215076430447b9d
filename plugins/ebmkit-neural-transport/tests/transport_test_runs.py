"""Small runs of `nt-ebm`, their states, and commands."""

from pathlib import Path

import torch
from typer.testing import CliRunner

from ebmkit.cli.main import app
from ebmkit.runs import train

SMALL = {
    "method": {"use": "nt-ebm", "flow_iterations": 3},
    "energy": {"width": 8, "depth": 1},
    "flow": {"layers": 2, "width": 8},
    "sampler": {"steps": 2},
    "data": {"use": "gaussians", "count": 200},
    "train": {"iterations": 6, "batch_size": 16, "device": "cpu", "threads": 1},
    "watch.pictures": {"every": 0},
}


def settings(**changes):
    """Small settings, with changes by `section__key`."""
    found = {section: dict(values) for section, values in SMALL.items()}
    for name, value in changes.items():
        section, key = name.split("__")
        found.setdefault(section, {})[key] = value
    return found


def trained(folder, **changes):
    """The folder of a small run that was trained."""
    assert len(list(train(settings(**changes), folder=folder))) == changes.get("train__iterations", 6)
    return folder


def state(folder):
    return torch.load(Path(folder) / "checkpoint.pt", weights_only=True)["trainer"]


def same(one, other):
    """Whether two nested states are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def command(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="ebmkit")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result
