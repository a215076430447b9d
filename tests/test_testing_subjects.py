"""What can be tested, what is refused in one line, and what pytest shows of a failure."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ebmkit import UsageError
from ebmkit.energies.analytic import GaussianEnergy
from ebmkit.samplers.hmc import HMC
from ebmkit.testing import check_sampler, conforms, subject

ROOT = Path(__file__).parent.parent


class Broken:
    """Raises when it is built."""

    def __init__(self, shape=None):
        raise RuntimeError("no\nluck")


class Leaver:
    """Exits the program."""

    def __init__(self, shape=None):
        sys.exit(3)


class Picky:
    """Refuses points."""

    def __init__(self, shape):
        if len(shape) != 3:
            raise ValueError(f"no {len(shape)}")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Draws when it is built."""

    def __post_init__(self):
        torch.rand(())


def opener(updates, folder):
    """Opens a file too early."""
    (folder / "early").write_text("")
    return updates


def refuser(updates, examples):
    """Refuses all examples."""
    raise UsageError(f"not {examples.shape}")


def late_refuser(updates, examples):
    """Refuses points."""
    if len(examples.shape) != 3:
        raise UsageError("images only")
    return updates


def refusal(kind, target, shape=None, **settings):
    with pytest.raises(UsageError) as caught:
        subject(kind, target, shape, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_import_string_names_the_part():
    assert subject("sampler", "ebmkit.samplers.hmc:HMC", None, {"steps": 3}).make() == HMC(steps=3)
    assert "'ebmkit.samplers.hmc:HCM' does not import: it raised AttributeError" in refusal(
        "sampler", "ebmkit.samplers.hmc:HCM"
    )
    assert "'nowhere:HMC' does not import: it raised ModuleNotFoundError" in refusal("sampler", "nowhere:HMC")


@pytest.mark.parametrize(
    ("kind", "thing"), [("sampler", HMC()), ("energy", GaussianEnergy((2,))), ("data", torch.zeros(3))]
)
def test_an_object_is_refused(kind, thing):
    assert refusal(kind, thing).endswith(
        f"must be a class or function, not an object ({type(thing).__name__}); pass the class, and its settings by name"
    )


def test_an_unknown_kind_is_refused():
    assert refusal("samplers", HMC).startswith("unknown kind 'samplers'. Did you mean 'sampler'?")


@pytest.mark.parametrize("kind", ["energy", "sampler", "init", "data"])
def test_a_part_that_raises_is_refused_with_its_line(kind):
    line = Broken.__init__.__code__.co_firstlineno + 1
    assert refusal(kind, Broken) == f"building it raised RuntimeError: no luck ({__name__}, line {line})"
    assert refusal(kind, Leaver).startswith("building it raised SystemExit: 3 (")


def test_a_misspelt_setting_is_refused():
    assert "unexpected keyword argument 'stpes'" in refusal("sampler", HMC, stpes=3)
    assert refusal("sampler", HMC, steps=0) == "steps must be at least 1, not 0"
    with pytest.raises(UsageError, match="stpes"):
        check_sampler(HMC, stpes=3)
    with pytest.raises(UsageError, match="stpes"):
        conforms("sampler", HMC, stpes=3)


def test_shapes_are_tried_until_one_is_taken():
    assert subject("energy", Picky, None, {}).shape == (1, 8, 8)
    assert subject("energy", Picky, (3, 4, 4), {}).shape == (3, 4, 4)
    assert refusal("energy", Picky, (5,)) == "building it raised ValueError: no 1 " + place(Picky)
    assert subject("watcher", late_refuser, None, {})


def place(part):
    return f"({__name__}, line {part.__init__.__code__.co_firstlineno + 2})"


def test_a_watcher_that_refuses_all_data_is_refused():
    assert refusal("watcher", refuser) == (
        "it accepts none of the shapes of examples that were tried; write shape=(...). First: not (2,)"
    )
    assert subject("watcher", opener, None, {})


def test_building_a_part_restores_global_randomness():
    before = torch.get_rng_state()
    subject("sampler", Drawing, None, {})
    assert torch.equal(torch.get_rng_state(), before)


def test_pytest_shows_the_reason_without_the_kit(tmp_path):
    test = tmp_path / "test_it.py"
    test.write_text(
        "from ebmkit.testing import conforms\n"
        "from faulty.samplers import ReplacesNan\n"
        "@conforms('sampler', ReplacesNan)\n"
        "def test_it(check):\n"
        "    check()\n"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "-k", "replace_nan"]
    done = subprocess.run(
        [*command, str(test)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "64 of 64 examples moved to finite values" in done.stdout, done.stdout + done.stderr
    assert "test_it.py:5" in done.stdout
    assert "ebmkit/testing/" not in done.stdout
    assert "def chains_do_not_replace_nan" not in done.stdout
