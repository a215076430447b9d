"""Every name that a package of ebmkit exports can be imported, and costs nothing before it is used."""

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ebmkit

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(ebmkit.__path__, "ebmkit.") if not module.name.endswith(".__main__")
)
PACKAGES = ["ebmkit", *(name for name in MODULES if hasattr(importlib.import_module(name), "__path__"))]
EXPORTS = [
    (package, name)
    for package in PACKAGES
    for name in getattr(importlib.import_module(package), "__all__", ())
    if name != "__version__"
]
LAZY = sorted({package for package, _ in EXPORTS} - {"ebmkit.testing", "ebmkit.data"})  # both need torch to be of use
EAGER = "ebmkit.data"  # the package that may export functions with the names of their modules: it imports them at once
# Imports a package, then every one of its submodules, and says whether torch is there after the first.
SCRIPT = """
import importlib, json, sys
package, submodules, names = json.loads(sys.argv[1])
module = importlib.import_module(package)
heavy = "torch" in sys.modules
for submodule in submodules:
    importlib.import_module(submodule)
for name in names:
    scope = {}
    exec(f"from {package} import {name}", scope)
    assert not hasattr(scope[name], "__path__") and type(scope[name]).__name__ != "module", name
print(json.dumps(heavy))
"""

# Imports modules in an order, and asks for the exports of the data after each: none of them is a module.
ORDER = """
import importlib, json, sys
modules, names = json.loads(sys.argv[1])
for module in modules:
    importlib.import_module(module)
    for name in names:
        scope = {}
        exec(f"from ebmkit.data import {name}", scope)
        assert callable(scope[name]), (module, name)
"""


def submodules(package):
    return [name for name in MODULES if name.rpartition(".")[0] == package]


def python(script, *arguments):
    path = os.pathsep.join([str(Path(ebmkit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "EBMKIT_PLUGINS": "none"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported(package):
    return [name for home, name in EXPORTS if home == package]


@pytest.mark.parametrize("package", ["data", "features", "energies", "samplers", "inits"])
def test_the_packages_of_parts_export_names(package):
    assert exported(f"ebmkit.{package}")


@pytest.mark.parametrize("package", PACKAGES)
def test_exports_can_be_imported_after_the_submodules(package):
    python(SCRIPT, json.dumps([package, submodules(package), exported(package)]))


@pytest.mark.parametrize("package", LAZY)
def test_importing_a_package_does_not_import_torch(package):
    assert json.loads(python(SCRIPT, json.dumps([package, [], []]))) is False


def test_the_check_for_torch_can_fail():
    assert json.loads(python(SCRIPT, json.dumps(["ebmkit.interfaces", [], []]))) is True


@pytest.mark.parametrize(("package", "name"), EXPORTS)
def test_an_exported_name_is_listed_and_found(package, name):
    module = importlib.import_module(package)
    assert name in dir(module)
    assert getattr(module, name) is not None


@pytest.mark.parametrize("package", sorted({*PACKAGES} - {EAGER}))
def test_no_exported_name_is_that_of_a_submodule(package):
    assert not {name.rpartition(".")[2] for name in submodules(package)} & set(exported(package))


def named_like_its_module(module):
    """The functions and classes of a module that have its name."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    definitions = [value for value in own if inspect.isfunction(value) or inspect.isclass(value)]
    return [value.__name__ for value in definitions if value.__name__ == module.__name__.rpartition(".")[2]]


@pytest.mark.parametrize(
    "order",
    [sorted, lambda names: sorted(names, reverse=True), lambda names: sorted(names, key=lambda name: name[::-1])],
)
def test_data_functions_stay_functions_in_any_order(order):
    python(ORDER, json.dumps([order([EAGER, *submodules(EAGER)]), exported(EAGER)]))


@pytest.mark.parametrize("name", ["arrays", "digits", "folder", "hub", "idx", "shapes"])
def test_a_data_function_is_in_a_module_of_its_name(name):
    module = importlib.import_module(f"{EAGER}.{name}")
    assert inspect.ismodule(module)
    assert getattr(module, name) is getattr(importlib.import_module(EAGER), name)


def test_importing_the_data_sets_imports_no_reader_of_files():
    heavy = ("sklearn", "scipy", "PIL", "datasets", "pandas", "matplotlib")
    script = f"import sys, ebmkit.data; print([name for name in {heavy} if name in sys.modules])"
    assert python(script).strip() == "[]"


@pytest.mark.parametrize("name", [name for name in MODULES if name.rpartition(".")[0] != EAGER])
def test_no_definition_is_named_like_its_module(name):
    assert not named_like_its_module(importlib.import_module(name))


def test_a_definition_named_like_its_module_is_found(tmp_path, monkeypatch):
    (tmp_path / "clashing.py").write_text("def clashing():\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert named_like_its_module(importlib.import_module("clashing")) == ["clashing"]


def test_any_other_name_is_refused_by_the_package():
    with pytest.raises(AttributeError, match=r"module 'ebmkit\.samplers' has no attribute 'Langevins'"):
        _ = importlib.import_module("ebmkit.samplers").Langevins
