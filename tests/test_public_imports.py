"""The packages of plugins/ and the templates import ebmkit only from public places."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent
PACKAGES = sorted(path.parent for path in TREE.glob("plugins/*/pyproject.toml"))
TEMPLATES = sorted((TREE / "ebmkit" / "registry" / "templates").glob("*/*.py.txt"))
SOURCES = [*(path for package in PACKAGES for path in package.rglob("*.py")), *TEMPLATES]
# Modules that are no packages, and whose functions are public all the same; tests may also run the command line.
MODULES = {
    "ebmkit.passes": ("CountedEnergy",),
    "ebmkit.pictures": ("grid", "strip", "beside", "drawable", "drawn_count"),
}
TESTS = {"ebmkit.cli.main": ("app",), "ebmkit.testing.strategies": ("energies", "examples", "generators")}


def imports(source):
    """The imports of ebmkit in a source: the module, and each name; no name for the import of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ebmkit":
            yield from ((node.module, name.name) for name in node.names)
        elif isinstance(node, ast.Import):
            yield from ((name.name, "") for name in node.names if name.name.partition(".")[0] == "ebmkit")


def private(source, allowed):
    """The imports that are not public."""
    return [
        f"{module}: {name}"
        for module, name in imports(source)
        if name not in (allowed.get(module) or getattr(import_module(module), "__all__", ()))
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(TREE)))
def test_plug_ins_import_only_public_names(path):
    source = path.read_text(encoding="utf-8").replace("$", "")
    assert private(source, MODULES | (TESTS if "test" in path.name else {})) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ebmkit import Sampler, check\nfrom ebmkit.pictures import grid\nimport os", []),
        ("from ebmkit.interfaces import noise_like", ["ebmkit.interfaces: noise_like"]),
        ("from ebmkit.pictures import pixels", ["ebmkit.pictures: pixels"]),
        ("def f():\n    from ebmkit.watchers.scalars import scalars_of", ["ebmkit.watchers.scalars: scalars_of"]),
        ("import ebmkit.errors", ["ebmkit.errors: "]),
    ],
)
def test_the_test_of_imports_detects_private_names(source, found):
    assert private(source, MODULES) == found


def test_the_sources_of_all_packages_are_tested():
    assert len(PACKAGES) == 10
    assert len(TEMPLATES) == 16
    assert all(list(package.glob("ebmkit_*/*.py")) for package in PACKAGES)
