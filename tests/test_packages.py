"""Every package in plugins/ is installed from its folder as a stranger would, and passes its own tests there."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent
PACKAGES = sorted(path.parent for path in TREE.glob("plugins/*/pyproject.toml"))


def missing(package):
    """What a package depends on and is not installed here; `make plugins` installs it."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = re.match(r"[\w.-]+", requirement).group()
        try:
            version(name)
        except PackageNotFoundError:
            yield name


def test_there_are_packages():
    assert len(PACKAGES) >= 7


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_installs_from_its_folder_and_passes_its_own_tests(package, tmp_path):
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(target), str(package)]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    assert (package / "README.md").read_text(encoding="utf-8").strip()
    if needed := list(missing(package)):
        pytest.skip(f"{package.name} needs {', '.join(needed)}: its tests run in `make plugins`")

    environment = os.environ | {"PYTHONPATH": str(target), "EBMKIT_STRICT_PLUGINS": "1"}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    passed = subprocess.run(
        [*tests, str(package / "tests")], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert passed.returncode == 0, passed.stdout + passed.stderr
