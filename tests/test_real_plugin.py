"""A real plug-in package, installed by pip, beside broken ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ebmkit

ROOT = Path(__file__).parent.parent
HOOK = "from ebmkit import hookimpl\n\n@hookimpl\ndef {hook}:\n    {body}\n"
# Sources that break a rule.
BROKEN = {
    "bad-import": "import nowhere_at_all\n",
    "bad-exit": "import sys\nsys.exit('enough')\n",
    "bad-name": HOOK.format(hook="sampler()", body="return {}"),
    "bad-raise": HOOK.format(hook="inits()", body="raise ValueError('x\\ny')"),
    "bad-thief": HOOK.format(hook="samplers()", body="return {'stolen': int, 'langevin': int}"),
}


@pytest.fixture(scope="module")
def annealed(tmp_path_factory):
    """The folder where pip installed ebmkit-annealed."""
    place = tmp_path_factory.mktemp("annealed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(place), str(ROOT / "plugins" / "ebmkit-annealed")]
    done = subprocess.run([*pip, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def command(annealed, install, site, tmp_path):
    """`command(...)` runs `ebmkit` with the real plug-in, and by default with broken ones beside it."""
    for package, source in BROKEN.items():
        install(package, source)

    def command(*arguments, neighbours=True):
        path = [str(annealed), *([str(site)] if neighbours else []), str(Path(ebmkit.__file__).parent.parent)]
        return subprocess.run(
            [sys.executable, "-m", "ebmkit", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "EBMKIT_PLUGINS": "all"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def test_a_real_package_is_listed_among_broken_ones(command):
    done = command("list", "--json")
    assert done.returncode == 0, done.stderr
    parts = {(part["kind"], part["name"]): part for part in json.loads(done.stdout)}
    found = parts["sampler", "annealed"]
    assert (found["package"], found["version"]) == ("ebmkit-annealed", "0.1.0")
    assert found["target"] == "ebmkit_annealed.sampler:Annealed"
    assert found["summary"]
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        "5 plug-ins did not load (bad-exit 0.1: called sys.exit: enough); see: ebmkit plugins"
    )


def test_plugins_check_fails_only_with_broken_plug_ins(command):
    done = command("plugins", "--json")
    assert done.returncode == 0, done.stderr
    found = {plugin["package"]: plugin for plugin in json.loads(done.stdout)}
    assert found["ebmkit-annealed"]["error"] == ""
    assert found["ebmkit-annealed"]["brings"] == ["sampler annealed"]
    assert {package for package, plugin in found.items() if plugin["error"]} == set(BROKEN)
    assert all(found[package]["brings"] == [] for package in BROKEN)
    assert command("plugins", "--check").returncode == 1
    assert command("plugins", "--check", neighbours=False).returncode == 0


def test_broken_plug_ins_do_not_affect_training(command, tmp_path):
    figures = {}
    small = ["--steps", "3", "--iterations", "2", "--batch-size", "8", "-s", "energy.width=4", "--samples-every", "0"]
    for neighbours in (True, False):
        out = tmp_path / f"run-{neighbours}"
        done = command("train", "--sampler", "annealed", *small, "--out", str(out), neighbours=neighbours)
        assert done.returncode == 0, done.stderr
        environment = json.loads((out / "env.json").read_text(encoding="utf-8"))
        assert environment["parts"]["sampler"] == "annealed (ebmkit-annealed 0.1.0)"
        listed = {plugin["package"] for plugin in environment["plugins"]}
        assert listed == {"ebmkit-annealed", *(BROKEN if neighbours else ())}
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        figures[neighbours] = [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]
    assert figures[True] == figures[False]
    assert len(figures[True]) == 2
