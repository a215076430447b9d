"""Installs ebmkit and all packages of plugins/ in an empty environment; tests them, their READMEs, and new packages.

    python tests/in_a_clean_environment.py FOLDER

FOLDER is where the environment is created; an existing one is replaced.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
KINDS = ("energy", "sampler", "init", "dataset", "watcher", "features", "method", "network")
FREE = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "EBMKIT_", "VIRTUAL_ENV"))}


class Clean:
    """An environment that contains nothing of the tree, and what failed in it.

    Attributes:
        bin: The folder of its commands.
        outside: The folder where everything runs, outside of the tree.
        failures: The commands that failed, with their output.
    """

    def __init__(self, folder: Path, outside: Path) -> None:
        venv.create(folder, clear=True, with_pip=True)
        self.bin = folder.resolve() / "bin"
        self.outside = outside
        self.failures: list[str] = []

    def run(self, what: str, command: str, *words: str | Path) -> bool:
        """Run a command of the environment, and print one line about it."""
        began = time.perf_counter()
        environment = FREE | {"EBMKIT_STRICT_PLUGINS": "1", "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            [self.bin / command, *words], cwd=self.outside, env=environment, capture_output=True, text=True, check=False
        )
        passed = ended.returncode == 0
        print(f"{time.perf_counter() - began:6.1f} s  {'passed' if passed else 'FAILED'}  {what}", flush=True)
        if not passed:
            self.failures.append(f"== {what}\n{ended.stdout}{ended.stderr}")
        return passed

    def install(self, what: str, *wanted: str | Path) -> bool:
        """Install packages and their dependencies, in the tested versions."""
        pip = ("-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
        return self.run(f"install {what}", "python", *pip, "--constraint", TREE / "constraints.txt", *wanted)

    def test(self, packages: list[Path]) -> None:
        """Run the tests of packages, two at a time, each in a new process and outside of its source."""
        with ThreadPoolExecutor(2) as both:
            list(both.map(self.test_one, packages))

    def test_one(self, package: Path) -> None:
        """Run the tests of a package."""
        tests = self.outside / f"tests-of-{package.name}"
        shutil.copytree(package / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
        pytest = ("-q", "-p", "no:cacheprovider", "--rootdir", tests, tests)
        self.run(f"test {package.name}", "pytest", *pytest)


def test_all(clean: Clean) -> None:
    """Install and test everything; if ebmkit itself does not install, stop."""
    if not clean.install("ebmkit, pytest and hypothesis", TREE, "pytest", "hypothesis"):
        return
    packages = sorted(path.parent for path in TREE.glob("plugins/*/pyproject.toml"))
    if clean.install("the packages of plugins/", *packages):
        clean.test(packages)
        pages = [package / "README.md" for package in packages]
        clean.run("what the READMEs import and call", "python", "-P", TREE / "tests" / "readme_calls.py", *pages)
    clean.run("plugins --check", "ebmkit", "plugins", "--check")
    new = [
        clean.outside / f"my-{kind}"
        for kind in KINDS
        if clean.run(f"new-plugin my-{kind}", "ebmkit", "new-plugin", f"my-{kind}", "--kind", kind)
    ]
    if clean.install("the new packages", *(f"{package}[test]" for package in new)):
        clean.test(new)
    clean.run("plugins --check, with the new ones", "ebmkit", "plugins", "--check")


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python tests/in_a_clean_environment.py FOLDER", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    if folder.exists() and not (folder / "pyvenv.cfg").is_file():
        print(f"{folder} is not an environment and is not changed; name another folder", file=sys.stderr)
        return 2
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as outside:
        clean = Clean(folder, Path(outside).resolve())
        test_all(clean)
    print("\n".join(clean.failures), end="")
    print(f"{time.perf_counter() - began:6.1f} s  {len(clean.failures)} failed")
    return 1 if clean.failures else 0


if __name__ == "__main__":
    sys.exit(main())
