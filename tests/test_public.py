"""What the package promises to those who import it, and what it costs them."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ebmkit

PUBLIC = [
    "Accelerated",
    "Diverged",
    "Energy",
    "EnergyFn",
    "ExampleValues",
    "InitDistribution",
    "Interrupted",
    "Method",
    "Parts",
    "Promises",
    "Reconstruction",
    "Role",
    "Sampler",
    "ShortRun",
    "State",
    "Trainer",
    "Update",
    "UsageError",
    "__version__",
    "check",
    "energy_values",
    "eval_mode",
    "hookimpl",
    "load",
    "noise_like",
    "per_example",
    "register",
    "role",
    "value_and_grad",
]
# Runs commands in one process, and says after each whether torch is there.
SCRIPT = """
import json, sys
loaded = {}
import ebmkit
loaded["import ebmkit"] = "torch" in sys.modules
from ebmkit.cli.main import run
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["ebmkit", *arguments]
    try:
        run()
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
    loaded[" ".join(arguments)] = "torch" in sys.modules
print(json.dumps(loaded), file=sys.stderr)
"""


def run(*arguments):
    path = os.pathsep.join([str(Path(ebmkit.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "EBMKIT_PLUGINS": "none"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_the_public_names_are_these():
    assert ebmkit.__all__ == PUBLIC
    assert dir(ebmkit) == PUBLIC
    assert set(ebmkit._PUBLIC) == set(PUBLIC) - {"__version__"}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_imported(name):
    namespace = {}
    exec(f"from ebmkit import {name}", namespace)
    assert namespace[name] is getattr(ebmkit, name)
    if name != "__version__":
        home = importlib.import_module(f"ebmkit.{ebmkit._PUBLIC[name]}")
        assert namespace[name] is getattr(home, name)


def test_a_star_import_gives_the_public_names():
    namespace = {}
    exec("from ebmkit import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(PUBLIC)


def test_any_other_name_is_refused():
    with pytest.raises(AttributeError, match="module 'ebmkit' has no attribute 'Samplers'"):
        _ = ebmkit.Samplers


def test_no_public_name_is_that_of_a_module():
    modules = {module.name for module in pkgutil.iter_modules(ebmkit.__path__)}
    assert "registry" in modules
    assert not modules & set(PUBLIC)


def test_looking_around_does_not_import_torch():
    cheap = [["--help"], ["list"], ["list", "sampler", "--json"], ["plugins"], ["plugins", "--json"], ["version"]]
    cheap += [["train", "--help"], ["show", "--help"], ["study", "--help"]]
    loaded = json.loads(run("-c", SCRIPT, json.dumps(cheap)).stderr)
    assert loaded == dict.fromkeys(["import ebmkit", *(" ".join(arguments) for arguments in cheap)], False)


def test_the_check_for_torch_can_fail():
    loaded = json.loads(run("-c", SCRIPT, json.dumps([["version"], ["show", "sampler", "hmc"]])).stderr)
    assert loaded == {"import ebmkit": False, "version": False, "show sampler hmc": True}


def test_the_module_is_the_command():
    assert run("-m", "ebmkit", "version").stdout.startswith(f"ebmkit {ebmkit.__version__} (Python ")
    assert "train" in run("-m", "ebmkit", "--help").stdout


def test_the_package_says_that_it_is_typed():
    assert (Path(ebmkit.__file__).parent / "py.typed").is_file()
