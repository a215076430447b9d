"""Every package in plugins/ installs from its folder and lists its parts; `make plugins` runs their own tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ebmkit

TREE = Path(__file__).parent.parent
PACKAGES = sorted(path.parent for path in TREE.glob("plugins/*/pyproject.toml"))


def test_all_packages_are_found():
    assert len(PACKAGES) >= 7


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_installs_and_its_parts_are_documented(package, tmp_path):
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(target), str(package)]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    assert list((package / "tests").glob("test_*.py"))

    path = os.pathsep.join([str(target), str(Path(ebmkit.__file__).parent.parent)])
    environment = os.environ | {"PYTHONPATH": path, "EBMKIT_STRICT_PLUGINS": "1", "EBMKIT_PLUGINS": package.name}
    listed = subprocess.run(
        [sys.executable, "-m", "ebmkit", "list", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    parts = [part for part in json.loads(listed.stdout) if part["package"] == package.name]
    assert parts
    readme = (package / "README.md").read_text(encoding="utf-8")
    for part in parts:
        assert part["summary"]
        option = "--watch" if part["kind"] == "watcher" else f"--{part['kind']}"
        used = (f"{option} {part['name']}", f"`{part['name']}`")
        assert any(words in readme for words in used), f"the README does not say how to use {part['name']}"
