"""Imports go downwards only, and components are named by strings alone."""

import ast
from pathlib import Path

import pytest

import ebmkit
from ebmkit.registry import builtin
from ebmkit.registry.component import HOOKS

SOURCE = Path(ebmkit.__file__).parent
# From the top down: a module imports from lower lines only, or from its own folder's lower modules.
LAYERS = (
    ("__main__",),
    ("cli.main",),
    ("cli.train", "cli.parts", "cli.plugins", "cli.create", "cli.model", "cli.reconstruct", "cli.judge"),
    ("cli.progress", "cli.complete", "cli.outputs", "cli.options"),
    ("cli.opened",),
    ("cli.console",),
    ("_pytest", "scaffold", "loading", "testing", "preview"),
    ("run",),
    ("testing.conform", "testing.strategies"),
    ("testing.basics", "testing.samplers", "testing.manners", "testing.promises", "testing.randomness"),
    ("testing.descent", "testing.invariance", "testing.energies", "testing.slopes", "testing.features"),
    ("testing.inits", "testing.datasets", "testing.watchers", "testing.settings"),
    ("testing.subjects",),
    ("testing.training", "testing.making", "testing.probes"),
    ("testing.kit",),
    ("testing.globals", "testing.statistics", "testing.targets"),
    ("report.watcher",),
    ("report.page",),
    ("report.drawn", "report.measured"),
    ("report.subject", "report.layout"),
    ("report.figures",),
    ("building", "machine", "folder", "analysis"),
    ("resolve", "history"),
    ("loop", "registry", "evaluation"),
    ("discovery", "builtin"),
    ("components", "config"),
    ("settings", "watch", "guard"),
    ("training", "acceleration", "acceleration.choice", "pictures", "diagnostics", "shortrun"),
    ("acceleration.accelerated",),
    ("acceleration.twin",),
    ("acceleration.replaying",),
    ("acceleration.folding", "acceleration.packing", "acceleration.capturing"),
    ("acceleration.recording", "acceleration.precision"),
    ("reconstruction",),
    ("energies.mlp", "energies.convnet", "energies.resnet", "energies.analytic", "samplers.langevin", "samplers.hmc"),
    ("inits.data", "inits.replay", "data.arrays", "data.digits", "data.hub", "data.idx", "data.shapes", "data.toys"),
    ("data.encoded", "data.files", "features.pixels", "features.digits", "features.inception", "features.torchscript"),
    ("data.folder", "features.inception2015", "metrics.frechet", "metrics.kernels", "metrics.neighbours"),
    ("metrics.scores", "energies.activations", "inits.uniform", "inits.gaussian", "data.images"),
    ("data.examples", "metrics.rows", "features.protocols"),
    ("interfaces",),
    ("errors", "hookspecs"),
)
PACKAGES = ("acceleration", "cli", "energies", "samplers", "inits", "data", "features", "metrics", "report")
FACADE = ""


def name_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {name_of(path): path for path in SOURCE.rglob("*.py")}


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


def test_every_module_has_its_place():
    placed = [name for layer in LAYERS for name in layer]
    assert len(placed) == len(set(placed))
    assert set(placed) | {FACADE, *PACKAGES} == set(MODULES)


@pytest.mark.parametrize(("depth", "name"), [(depth, name) for depth, layer in enumerate(LAYERS) for name in layer])
def test_a_module_imports_only_from_lower_layers(depth, name):
    below = {one for layer in LAYERS[depth + 1 :] for one in layer}
    assert imported(name) - {FACADE} <= below


def test_a_package_s_own_module_imports_nothing():
    for package in PACKAGES:
        assert imported(package) == set()


def test_the_facade_imports_nothing_at_run_time_and_what_it_names_for_type_checkers_is_public():
    tree = ast.parse(MODULES[FACADE].read_text(encoding="utf-8"))
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(checking.test) == "TYPE_CHECKING"
    named = {(str(node.module), alias.name) for node in checking.body for alias in node.names}
    assert named == {(f"ebmkit.{module}", name) for name, module in ebmkit._PUBLIC.items()}
    tree.body.remove(checking)
    assert not [one for one in imports(tree) if one.startswith("ebmkit")]


@pytest.mark.parametrize("name", [name for name in MODULES if name != FACADE and FACADE in imported(name)])
def test_the_facade_is_imported_for_the_version_alone(name):
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


def test_every_component_is_in_a_folder_of_components_or_a_watcher():
    homes = {"energies", "samplers", "inits", "data", "watch", "features", "report"}
    assert {name.partition(".")[0] for name in components()} == homes


@pytest.mark.parametrize("name", sorted(components() - {"watch"}))
def test_a_component_is_imported_by_its_string_or_by_its_own_folder_only(name):
    users = {user for user in MODULES if name in imported(user)}
    assert {user.partition(".")[0] for user in users} <= {name.partition(".")[0]}


def test_the_check_sees_imports_in_functions_and_for_type_checkers():
    checking = "if TYPE_CHECKING:\n    import ebmkit.runs.run\n"
    inside = "def f():\n    from ebmkit import folder\n    from ebmkit.config.train_settings import Train\n"
    assert set(imports(ast.parse(checking + inside))) == {"ebmkit.runs.run", "ebmkit.runs.folder", "ebmkit.config.train_settings"}
