"""The documents say what is so: their Python runs, their commands exist, every hook and every page is there."""

import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from faulty.__main__ import tables
from laws.table import LAWS
from typer.testing import CliRunner

from ebmkit.cli.main import app
from ebmkit.config.resolution import resolve
from ebmkit.registry import hooks as hookspecs
from ebmkit.registry.component import HOOKS
from ebmkit.registry.presets import PRESETS

TREE = Path(__file__).parent.parent
PAGES = sorted([TREE / "README.md", *(TREE / "docs").rglob("*.md"), *(TREE / "plugins").glob("*/README.md")])


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def named(page):
    return str(page.relative_to(TREE))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=named)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path):
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    slow = os.environ | {"CI": "true"}  # hypothesis then has no deadlines, which a busy machine would miss
    command = [sys.executable, str(script)]
    ran = subprocess.run(command, cwd=tmp_path, env=slow, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def commands():
    for page in PAGES:
        for block in [*blocks(page, "console"), *blocks(page, "bash")]:
            for line in block.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ").split("  #")[0].strip()
                if command.startswith("ebmkit "):
                    yield pytest.param(command, id=f"{page.stem}: {command}"[:100])


@pytest.mark.parametrize("command", list(commands()))
def test_a_command_in_the_documents_is_understood(command, monkeypatch):
    """Options are parsed by the command line itself; the parts and settings that are named exist."""
    words = shlex.split(command)[1:]
    monkeypatch.setenv("TYPER_USE_RICH", "0")
    known = CliRunner().invoke(app, [words[0], "--help"])
    assert known.exit_code == 0, known.output
    for option in (word for word in words[1:] if re.match(r"--?[a-z]", word)):
        assert re.search(rf"(^|[ ,]){re.escape(option)}\b", known.output), f"{option} is no option of {words[0]}"


def test_every_hook_is_documented_with_its_signature():
    text = (TREE / "docs" / "plugins.md").read_text(encoding="utf-8")
    for hook in (*HOOKS.values(), PRESETS):
        signature = inspect.signature(getattr(hookspecs, hook))
        returns = str(signature.return_annotation).replace("collections.abc.", "").replace("typing.", "")
        assert f"def {hook}() -> " in text, f"docs/plugins.md lacks the hook {hook} ({returns})"


def test_the_laws_of_packages_stand_in_the_proofs():
    proofs = (TREE / "docs" / "proofs.md").read_text(encoding="utf-8").splitlines()
    tables = [
        readme.read_text(encoding="utf-8").split("\n| law |")[1].split("\n\n")[0].splitlines()[1:]
        for readme in (TREE / "plugins").glob("*/README.md")
        if "\n| law |" in readme.read_text(encoding="utf-8")
    ]
    assert len(tables) >= 3
    assert [row for table in tables for row in table if row not in proofs] == []


def test_every_law_mutant_and_planted_fault_stands_in_the_proofs():
    text = (TREE / "docs" / "proofs.md").read_text(encoding="utf-8")
    cells = {cell.strip() for line in text.splitlines() for cell in line.strip("|").split(" | ")}
    cells |= {mutant.rpartition(": ")[0] for cell in cells for mutant in cell.split("; ")}
    laws = {word for law in LAWS for word in (law.name, law.statement, *law.mutants)}
    faults = {name for _, table in tables() for name in table}
    assert sorted((laws | faults) - cells) == []


def test_every_page_stands_in_the_navigation():
    text = (TREE / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (TREE / "docs").rglob("*.md"):
        assert str(page.relative_to(TREE / "docs")) in text, f"{page.name} is missing from mkdocs.yml"


def test_every_setting_of_the_defaults_is_what_the_readme_says():
    recipe = resolve([])
    readme = (TREE / "README.md").read_text(encoding="utf-8")
    for table in re.findall(r"^```toml\n(.*?)^```", readme, re.DOTALL | re.MULTILINE):
        for section, values in tomllib.loads(table).items():
            for key, value in values.items():
                assert recipe.sections[section][key] == value, f"README: {section}.{key}"


@pytest.mark.parametrize("name", ["quickstart", "own_sampler"])
def test_an_example_runs_and_is_short(name, tmp_path):
    script = TREE / "examples" / f"{name}.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) < 60
    environment = os.environ | {"PYTHONPATH": str(TREE / "examples")}
    code = f"import {name}; {name}.main(iterations=2, out=__import__('pathlib').Path('picture.png'))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "picture.png").stat().st_size > 0
