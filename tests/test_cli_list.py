"""`ebmkit list`, `plugins` and `version`: what is installed."""

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from commands import invoked

import ebmkit
from ebmkit.registry.component import KINDS, Plugin
from ebmkit.registry.lookup import get_registry, register
from ebmkit.samplers.langevin import Langevin

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


def every_part() -> list[tuple[str, str]]:
    return [(kind, name) for kind in KINDS for name in get_registry().names(kind)]


def test_list_names_every_part_with_its_package():
    stdout, stderr = invoked("list")
    lines = stdout.splitlines()
    for kind, name in every_part():
        (line,) = [line for line in lines if re.match(rf"{kind} +{name} ", line)]
        assert line.rstrip().endswith(f"ebmkit {ebmkit.__version__}")
    assert stderr == ""


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_one_kind_has_only_that_kind(kind):
    stdout, _ = invoked("list", kind, "--json")
    assert [(part["kind"], part["name"]) for part in json.loads(stdout)] == [
        (kind, name) for name in get_registry().names(kind)
    ]


def test_list_as_json_has_the_package_and_target_of_parts():
    (part,) = [part for part in json.loads(invoked("list", "--json")[0]) if part["name"] == "hmc"]
    assert part == {
        "schema": 2,
        "kind": "sampler",
        "name": "hmc",
        "summary": "Hamiltonian Monte Carlo for exp(-E / temperature), with the leapfrog integrator.",
        "package": "shortrun-ebmkit",
        "version": ebmkit.__version__,
        "target": "ebmkit.samplers.hmc:HMC",
    }


def test_a_narrow_terminal_does_not_break_names():
    stdout, _ = invoked("list", env={"COLUMNS": "40"})
    for _, name in every_part():
        assert re.search(rf"\b{name}\b", stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "samplr"], "unknown kind 'samplr'. Did you mean 'sampler'?"),
        (["show", "smapler", "hmc"], "unknown kind 'smapler'. Did you mean 'sampler'?"),
        (["show", "sampler", "hcm"], "unknown sampler 'hcm'. Did you mean 'hmc'?"),
        (["show", "optimizer", "adamm"], "unknown optimizer 'adamm'. Did you mean 'adam'?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(words, message):
    stdout, stderr = invoked(*words, code=2)
    assert stdout == ""
    assert stderr.startswith(f"error: {message}")
    assert stderr.count("\n") == 1


def test_plugins_says_that_there_are_none():
    assert invoked("plugins")[0].startswith("No plug-ins are installed.")
    assert json.loads(invoked("plugins", "--json")[0]) == []
    invoked("plugins", "--check")


def test_plugins_shows_parts_and_why_one_did_not_load():
    good = Plugin("ebmkit-good", "1.0", "good = good_module")
    bad = Plugin("ebmkit-bad", "0.3", "bad = bad_module", "ImportError: no module named [/red]")
    get_registry().plugins += [good, bad]
    register("sampler", "better", Langevin)
    (component,) = get_registry().components["sampler", "better"]
    get_registry().components["sampler", "better"] = [type(component)("sampler", "better", Langevin, good)]
    stdout, stderr = invoked("plugins")
    assert stdout.splitlines() == [
        "ebmkit-good 1.0 (good = good_module): sampler better",
        "ebmkit-bad 0.3 (bad = bad_module)",
        "  did not load: ImportError: no module named [/red]",
        "  to remove it: pip uninstall ebmkit-bad",
    ]
    assert stderr == ""
    assert "error: 1 of 2 plug-ins did not load" in invoked("plugins", "--check", code=1)[1]
    found = json.loads(invoked("plugins", "--json")[0])
    assert [(one["package"], one["brings"]) for one in found] == [
        ("ebmkit-good", ["sampler better"]),
        ("ebmkit-bad", []),
    ]
    assert found[1]["error"] == bad.error
    _, stderr = invoked("list")
    assert stderr.startswith("1 plug-in did not load (ebmkit-bad 0.3: ImportError: no module named [/red])")
    assert stderr.count("\n") == 1


def test_version_names_ebmkit_python_and_torch():
    stdout, _ = invoked("version")
    expected = f"ebmkit {ebmkit.__version__} (Python {platform.python_version()}, torch {version('torch')})"
    assert stdout.strip() == expected


def test_listing_parts_does_not_import_torch():
    code = (
        "import sys; from typer.testing import CliRunner; from ebmkit.cli.main import app\n"
        "for line in ('--help', 'train --help', 'list', 'list energy --json', 'list presets', 'plugins', 'version'):\n"
        "    assert CliRunner().invoke(app, line.split()).exit_code == 0, line\n"
        "    assert 'torch' not in sys.modules, line\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_closed_pipe_prints_no_error():
    command = [sys.executable, "-m", "ebmkit", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1
