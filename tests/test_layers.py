"""Imports run downwards only, from folder to folder, and components are named only by strings."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ebmkit
from ebmkit.registry import builtin
from ebmkit.registry.component import HOOKS

SOURCE = Path(ebmkit.__file__).parent
# From the top down: a folder imports from itself and from lower rows. The picture in docs/architecture.md shows these.
LAYERS = (
    ("__main__", "_pytest"),
    ("cli",),
    ("study", "testing", "watchers"),
    ("report", "runs"),
    ("evaluation", "config"),
    ("registry", "methods"),
    ("shortrun",),
    ("acceleration", "reconstruction", "trajectories", "passes", "pictures"),
    ("networks",),
    ("energies", "samplers", "inits", "features"),
    ("data",),
    ("interfaces",),
    ("claims", "processes"),
    ("errors", "files", "threads", "modes", "_lazy"),
)
FACADE = ""


def name_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {name_of(path): path for path in SOURCE.rglob("*.py")}
PACKAGES = {name_of(path) for path in SOURCE.rglob("__init__.py")} - {FACADE}


def imports(tree):
    """Every module of ours that a source imports, wherever in it and for whatever: `import ebmkit` is the facade."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner.removeprefix("ebmkit.") in MODULES else str(node.module)


def imported(name):
    found = imports(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    return {one.removeprefix("ebmkit").removeprefix(".") for one in found if one.partition(".")[0] == "ebmkit"}


def room(name):
    return name.partition(".")[0]


def test_every_room_has_its_row():
    placed = [name for row in LAYERS for name in row]
    assert len(placed) == len(set(placed))
    assert set(placed) == {room(name) for name in MODULES} - {FACADE}


@pytest.mark.parametrize(("depth", "name"), [(depth, name) for depth, row in enumerate(LAYERS) for name in row])
def test_a_room_imports_only_from_lower_rows(depth, name):
    below = {one for row in LAYERS[depth + 1 :] for one in row}
    rooms = {room(one) for module in MODULES if room(module) == name for one in imported(module)}
    assert rooms - {FACADE, name} <= below


def test_no_modules_import_each_other_in_a_circle():
    # A package only hands names on, lazily, so its own arrows are not counted.
    graph = {name: imported(name) - PACKAGES - {FACADE} for name in set(MODULES) - PACKAGES - {FACADE}}
    assert list(TopologicalSorter(graph).static_order())


def run_time(name):
    """The source of a module without what it imports for type checkers, and the names imported for these."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    checking = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    named = {alias.name for node in checking for one in node.body for alias in one.names}
    tree.body = [node for node in tree.body if node not in checking]
    return tree, named


@pytest.mark.parametrize("name", sorted({*PACKAGES, FACADE} - {"testing", "data"}))  # these are of no use without torch
def test_a_package_exports_lazily_what_it_names(name):
    tree, named = run_time(name)
    assert {one for one in imports(tree) if one.startswith("ebmkit")} <= {"ebmkit._lazy"}
    exported = set(getattr(__import__(f"ebmkit.{name}".rstrip("."), fromlist=["_"]), "__all__", []))
    assert exported - {"__version__"} == named


@pytest.mark.parametrize("name", [name for name in MODULES if name != FACADE and FACADE in imported(name)])
def test_the_facade_is_imported_only_for_the_version(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ebmkit"
    }
    assert used == {"__version__"}


def components():
    """The modules of all built-in components, by their import strings."""
    targets = [target for hook in HOOKS.values() for target in getattr(builtin, hook)().values()]
    return {target.partition(":")[0].removeprefix("ebmkit.") for target in targets}


def test_every_component_is_in_a_folder_of_parts():
    assert {room(name) for name in components()} == {
        *("energies", "networks", "samplers", "inits", "data", "watchers", "features", "methods")
    }


@pytest.mark.parametrize("name", sorted(components()))
def test_a_component_is_imported_only_by_its_string(name):
    users = {user for user in set(MODULES) - PACKAGES if name in imported(user)}
    assert {room(user) for user in users} <= {room(name)}


def test_the_check_sees_imports_in_functions():
    checking = "if TYPE_CHECKING:\n    import ebmkit.runs\n"
    inside = "def f():\n    from ebmkit import files\n    from ebmkit.errors import check\n"
    assert set(imports(ast.parse(checking + inside))) == {"ebmkit.runs", "ebmkit.files", "ebmkit.errors"}
