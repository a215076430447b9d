"""The pytest plug-in: it imports neither torch nor numpy, and its fixture restores all names."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import ebmkit
from ebmkit import UsageError, _pytest, register
from ebmkit.registry.lookup import get_registry

registered = _pytest.registered
ROOT = Path(__file__).parent.parent


def names():
    return {key: [one.target for one in found] for key, found in get_registry().components.items()}


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    ).stdout


def test_importing_it_imports_neither_torch_nor_numpy():
    code = "import sys, ebmkit._pytest as p; p.pytest_report_header(); print({'torch', 'numpy'} & set(sys.modules))"
    assert run(code) == "set()\n"


def test_a_registered_name_exists_in_one_test_only(tmp_path):
    test = tmp_path / "test_names.py"
    test.write_text(
        "from ebmkit.registry.lookup import get_registry\n"
        "def test_a(registered):\n"
        "    registered('sampler', 'brief', int)\n"
        "    registered('sampler', 'brief', float)\n"
        "    registered('init', 'brief', str)\n"
        "    assert get_registry().find('sampler', 'brief').target is float\n"
        "    assert get_registry().find('init', 'brief').target is str\n"
        "def test_b():\n"
        "    assert 'brief' not in get_registry().names('sampler') + get_registry().names('init')\n"
        "    assert ('sampler', 'brief') not in get_registry().components\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(test)]
    if "ebmkit" not in [entry.name for entry in entry_points(group="pytest11")]:
        command += ["-p", "ebmkit._pytest"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert "2 passed" in result.stdout, result.stdout + result.stderr


def test_names_registered_before_are_restored(fresh_registry):
    register("sampler", "older", int)
    before = names()
    fixture = _pytest.registered.__wrapped__()
    add = next(fixture)
    add("sampler", "older", float)
    assert get_registry().find("sampler", "older").target is float
    add("data", "newer", list)
    add("data", "newer", dict)
    assert get_registry().find("data", "newer").target is dict
    with pytest.raises(StopIteration):
        next(fixture)
    assert names() == before
    assert get_registry().find("sampler", "older").target is int


def test_a_registry_rebuilt_in_the_test_is_restored_too(fresh_registry):
    fixture = _pytest.registered.__wrapped__()
    add = next(fixture)
    add("sampler", "first", int)
    get_registry.cache_clear()
    add("sampler", "second", int)
    with pytest.raises(StopIteration):
        next(fixture)
    assert not {"first", "second"} & set(get_registry().names("sampler"))


def test_the_registry_is_built_only_when_needed(fresh_registry):
    fixture = _pytest.registered.__wrapped__()
    next(fixture)
    assert get_registry.cache_info().currsize == 0


def test_a_built_in_name_is_refused_by_the_fixture(registered):
    with pytest.raises(UsageError, match="built in"):
        registered("sampler", "langevin", int)


def test_the_header_names_packages_and_imports_none(install):
    (install("good-part", "raise RuntimeError('imported')") / "zoo.py").write_text("")
    assert _pytest.pytest_report_header().startswith(f"ebmkit {ebmkit.__version__}: plug-ins ")
    assert "good-part" in _pytest.pytest_report_header()


def test_the_header_counts_plug_ins(monkeypatch):
    monkeypatch.setenv("EBMKIT_PLUGINS", "none")
    assert _pytest.pytest_report_header() == f"ebmkit {ebmkit.__version__}: plug-ins 0"


def test_a_broken_package_does_not_break_pytest(install, monkeypatch):
    install("bad-lines", "", metadata=False)
    assert "(unknown)" in _pytest.pytest_report_header()
    monkeypatch.setenv("EBMKIT_STRICT_PLUGINS", "1")
    assert "plug-ins cannot be listed: " in _pytest.pytest_report_header()
