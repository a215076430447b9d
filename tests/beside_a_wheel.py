"""Runs the suite against the installed package: in a folder that has all of the tree but its source."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).parent.parent
KEPT = (
    "tests",
    "examples",
    "plugins",
    "docs",
    "README.md",
    "pyproject.toml",
    "Makefile",
    "mkdocs.yml",
    "constraints.txt",
)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for name in KEPT:
            copy = shutil.copytree if (TREE / name).is_dir() else shutil.copy
            copy(TREE / name, Path(folder) / name)
        where = "import ebmkit; print(ebmkit.__file__)"
        found = subprocess.run([sys.executable, "-c", where], cwd=folder, capture_output=True, text=True, check=True)
        print(f"the package under test: {found.stdout.strip()}", flush=True)
        return subprocess.run([sys.executable, "-m", "pytest", "-n", "2"], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
