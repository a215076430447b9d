"""The settings that are known to diverge, and where they are shown."""

import pytest
from commands import BLIND, train

from ebmkit.cli.progress import header
from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.runs.stability import KNOWN, unstable
from ebmkit.runs.training import new_run

FREE = "train.gradient_penalty=0"


def reasons(shape, *pairs):
    return unstable(resolve([typed(pairs)]), shape)


@pytest.mark.parametrize("known", KNOWN)
def test_every_known_row_gives_one_line(known):
    (line,) = reasons((1, known.side, known.side), FREE, f"optimizer.lr={known.rate}")
    assert f"optimizer.lr={known.rate:g} with train.gradient_penalty=0 is known to diverge" in line
    assert f"images of {known.side}x{known.side}" in line
    assert known.source in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("shape", "pairs"),
    [
        ((1, 32, 32), [FREE, "optimizer.lr=1e-4"]),
        ((1, 32, 32), [FREE, "optimizer.lr=5e-4", "train.gradient_clip=1"]),
        ((1, 32, 32), [FREE, "optimizer.use=sgd", "optimizer.lr=0.01"]),
        ((1, 32, 32), ["optimizer.lr=1e-3"]),
        ((1, 32, 32), ["optimizer.lr=1e-3", "train.gradient_penalty=1"]),
        ((1, 16, 16), [FREE, "optimizer.lr=1e-3"]),
        ((1, 8, 8), ["optimizer.lr=1e-2"]),
        ((2,), ["optimizer.lr=1e-2"]),
        ((1, 32, 32), [FREE, "energy.use=mlp"]),
        ((1, 32, 32), [FREE, "energy.spectral_norm=true"]),
        ((1, 32, 32), [FREE, "energy.spectral_bound=2"]),
        ((1, 32, 32), [FREE, "sampler.use=hmc"]),
    ],
)
def test_what_held_or_was_not_tried_is_not_called_unstable(shape, pairs):
    assert reasons(shape, *pairs) == []


def test_too_weak_a_penalty_is_called_unstable():
    (line,) = reasons((1, 32, 32), "train.gradient_penalty=0.1", "optimizer.lr=5e-4")
    assert "train.gradient_penalty=0.1 is known to diverge" in line


@pytest.mark.usefixtures("empty_folder")
def test_a_dry_run_says_what_is_unstable():
    words = ("--steps", "2", *BLIND, "-s", "energy.width=4", "-s", "data.size=32", "-s", FREE, "--dry-run")
    assert "unstable  optimizer.lr=0.001 with " in train(*words, quiet=False)[1]
    assert "unstable" not in train(*words, "-s", "optimizer.lr=1e-4", quiet=False)[1]


@pytest.mark.usefixtures("empty_folder")
def test_settings_that_a_rollback_has_replaced_are_not_called_unstable(capsys):
    settings = {
        "energy": {"width": 4},
        "data": {"use": "digits", "size": 32},
        "train": {"gradient_penalty": 0.0},
    }
    run = new_run(settings)
    header(run)
    assert "unstable  optimizer.lr=0.001 with " in capsys.readouterr().err
    run.events = [{"event": "rollback", "update": 60, "to_update": 0, "lr": 5e-4, "gradient_penalty": 1.0}]
    header(run)
    stderr = capsys.readouterr().err
    assert "unstable" not in stderr
    assert "rollback  at update 60: rolled back to update 0, with a new seed" in stderr
