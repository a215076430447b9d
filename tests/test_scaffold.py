"""`ebmkit new-plugin`: the package that it writes installs, is listed, is clean and passes its own tests."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import ebmkit
from ebmkit.cli.creating import new_plugin
from ebmkit.config.settings import signature
from ebmkit.registry import scaffold
from ebmkit.registry.component import HOOKS
from ebmkit.registry.scaffold import MADE

TREE = Path(__file__).parent.parent
LONG = "x" * (scaffold.LONGEST - 3) + "-yz"
READABLE = 40  # lines of a part, so that it fits on one screen

app = typer.Typer(pretty_exceptions_enable=False)
app.command("new-plugin")(new_plugin)
app.callback()(lambda: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One package of each kind, in a folder."""
    folder = tmp_path_factory.mktemp("made")
    for kind in MADE:
        scaffold.create(f"my-{kind}", kind, folder)
    return folder


@pytest.fixture(scope="module")
def run(made, tmp_path_factory):
    """`run(command...)` runs Python outside of the packages, where all of them are installed."""
    site = tmp_path_factory.mktemp("site")
    path = os.pathsep.join([str(site), str(Path(ebmkit.__file__).parent.parent)])
    environment = os.environ | {"PYTHONPATH": path, "EBMKIT_STRICT_PLUGINS": "1", "OMP_NUM_THREADS": "1"}

    def run(*words):
        command = [sys.executable, *map(str, words)]
        ended = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    run(*pip, "--target", site, *sorted(made.iterdir()))
    return run


@pytest.fixture(scope="module")
def listed(run):
    """What `ebmkit list` says where the packages are installed."""
    return json.loads(run("-m", "ebmkit", "list", "--json"))


def call(*words, code=0):
    result = CliRunner().invoke(app, ["new-plugin", *words])
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def readme(folder, kind):
    return (folder / f"my-{kind}" / "README.md").read_text(encoding="utf-8")


def code(text):
    return re.findall(r"^```(\w*)\n(.*?)^```\n", text, re.MULTILINE | re.DOTALL)


def part_of(folder, kind):
    """The part of the package of a kind, without installing it."""
    package = scaffold.Package(f"my-{kind}", kind)
    path = folder / package.name / package.module / f"{package.file}.py"
    return runpy.run_path(str(path))[package.target]


@pytest.mark.parametrize("kind", MADE)
def test_a_new_package_installs_and_lists_its_part(listed, kind):
    (found,) = [one for one in listed if one["name"] == f"my_{kind}"]
    assert (found["kind"], found["package"], found["version"]) == (kind, f"my-{kind}", "0.1.0")
    assert found["summary"]


def test_the_tests_of_every_new_package_pass(run, made):
    folders = [made / f"my-{kind}" / "tests" for kind in MADE]
    output = run("-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir", made, *folders)
    for kind in MADE:
        assert re.search(rf"test_my_{kind}\.py::test_it_meets_the_requirements_of_.* PASSED", output)
        assert re.search(rf"test_my_{kind}\.py::test_(?!it_meets_).* PASSED", output)


def test_a_run_can_use_all_new_parts_at_once(run, tmp_path):
    parts = [word for kind in ("energy", "sampler", "init", "data") for word in (f"--{kind}", f"my_{kind}")]
    place = tmp_path / "run"
    watch = ["--watch", "my_watcher", "-s", "watch.my_watcher.every=1"]
    run("-m", "ebmkit", "train", *parts, *watch, "--steps", 2, "--iterations", 1, "--out", place)
    assert (place / "my_watcher.csv").read_text(encoding="utf-8").startswith("1,")
    found = run("-m", "ebmkit", "evaluate", place, "--features", "my_features", "-n", 40, "--json")
    assert json.loads(found)["measures"][0]["features"] == "my_features 64"


@pytest.mark.parametrize("name", ["a", LONG])
def test_generated_code_is_clean_for_names_of_any_length(tmp_path, name):
    pytest.importorskip("ruff", reason="ruff is in the group lint")
    rules = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    lint = ["--select", ",".join(rules["lint"]["select"]), "--ignore", ",".join(rules["lint"]["ignore"])]
    lint += [
        "--per-file-ignores",
        ",".join(f"tests/**:{rule}" for rule in rules["lint"]["per-file-ignores"]["tests/**"]),
        "--config",
        "lint.pydocstyle.convention='google'",
    ]
    for kind in MADE:
        folder = scaffold.create(name, kind, tmp_path)[0]
        for command in (["check", *lint], ["check"], ["format", "--check"]):
            ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
            ended = subprocess.run(ruff, cwd=folder, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, ended.stdout + ended.stderr
        folder.rename(tmp_path / kind)


@pytest.mark.parametrize("kind", MADE)
def test_generated_modules_are_short(made, kind):
    for path in (made / f"my-{kind}").rglob("*.py"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        assert len(lines) <= READABLE, path


@pytest.mark.parametrize("kind", MADE)
def test_no_placeholder_of_a_template_remains(made, kind):
    for path in (made / f"my-{kind}").rglob("*"):
        written = path.is_file() and path.suffix != ".pyc"  # other tests may have imported it
        assert not written or "$" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("kind", MADE)
def test_the_project_file_is_complete(made, kind):
    project = tomllib.loads((made / f"my-{kind}" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == f"my-{kind}"
    assert project["entry-points"] == {"ebmkit": {f"my_{kind}": f"my_{kind}"}}
    minor = ".".join(ebmkit.__version__.split(".")[:2])
    assert project["dependencies"] == [f"shortrun-ebmkit>={minor}"]
    assert project["optional-dependencies"] == {"test": ["pytest>=8.4"]}


@pytest.mark.parametrize("kind", MADE)
def test_the_readme_has_the_commands_for_this_name(made, kind):
    blocks = [block for language, block in code(readme(made, kind)) if not language]
    option = "watch" if kind == "watcher" else kind
    use = f"ebmkit train --{option} my_{kind} --steps 5 --iterations 10"
    if kind == "features":
        use = "ebmkit evaluate runs/a --features my_features"
    if kind == "network":
        use = "ebmkit train --method jem -s classifier.use=my_network --steps 5 --iterations 10"
    assert [block.splitlines() for block in blocks] == [
        ["pip install --editable '.[test]'", "ebmkit plugins"],
        [f"ebmkit show {kind} my_{kind}", use],
        ["pytest", f"ebmkit plugins --check my-{kind}"],
    ]


@pytest.mark.parametrize("kind", MADE)
def test_the_readme_has_every_setting_with_its_default_and_help(made, kind):
    settings = signature(part_of(made, kind)).settings.values()
    rows = [f"| `{one.name}` | {one.default} | {one.help} |" for one in settings]
    assert rows
    assert [line for line in readme(made, kind).splitlines() if line.startswith("| `")] == rows


@pytest.mark.parametrize("kind", MADE)
def test_the_readme_imports_the_part_from_where_it_is(made, kind):
    (block,) = [block for language, block in code(readme(made, kind)) if language == "py"]
    first = ast.parse(block).body[0]
    package = scaffold.Package(f"my-{kind}", kind)
    assert ast.unparse(first) == f"from my_{kind}.{package.file} import {package.target}"


@pytest.mark.parametrize(
    ("name", "kind", "names"),
    [
        ("my-sampler", "sampler", ("my_sampler", "my_sampler", "MySampler")),
        ("ebmkit-mine", "energy", ("ebmkit_mine", "mine", "Mine")),
        ("ebmkit-my-rings-2", "data", ("ebmkit_my_rings_2", "my_rings_2", "my_rings_2")),
        ("a", "init", ("a", "a", "A")),
    ],
)
def test_all_names_follow_from_the_name_of_the_package(tmp_path, name, kind, names):
    package = scaffold.Package(name, kind)
    assert (package.module, package.part, package.target) == names
    place, *paths = scaffold.create(name, kind, tmp_path)
    assert place == tmp_path / name
    assert sorted(path for path in place.rglob("*") if path.is_file()) == sorted(paths)
    hooks = (place / package.module / "__init__.py").read_text(encoding="utf-8")
    assert f'{{"{package.part}": "{package.module}.{kind}:{package.target}"}}' in hooks


@pytest.mark.parametrize("kind", MADE)
def test_no_module_of_a_new_package_replaces_its_hook(kind):
    # An imported module is an attribute of its package, in place of a function of its name.
    package = scaffold.Package(f"my-{kind}", kind)
    assert package.file != HOOKS[kind]
    assert f"my_{kind}/{package.file}.py" in scaffold.rendered(package)


def test_dataset_is_another_word_for_data(tmp_path):
    place = scaffold.create("my-images", "dataset", tmp_path)[0]
    assert (place / "my_images" / "data.py").is_file()
    assert scaffold.commands(place, "dataset") == scaffold.commands(place, "data")


def test_the_command_prints_paths_and_what_to_type_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output, next_commands = call("my-rings", "--kind", "data")
    place = Path("my-rings")
    files = ["pyproject.toml", "README.md", "my_rings/__init__.py", "my_rings/data.py", "tests/test_my_rings.py"]
    assert output.splitlines() == ["my-rings", *(str(place / file) for file in files)]
    assert all((tmp_path / line).exists() for line in output.splitlines())
    assert next_commands.splitlines() == [
        "next:",
        "  pip install --editable 'my-rings[test]'",
        "  pytest my-rings",
        "  ebmkit train --data my_rings --steps 5 --iterations 10",
    ]


def test_a_folder_with_a_blank_is_quoted_in_commands(tmp_path):
    out = tmp_path / "a b"
    out.mkdir()
    _, output = call("my-rings", "--kind", "data", "--out", str(out))
    assert f"  pytest '{out / 'my-rings'}'" in output.splitlines()


def test_a_package_is_created_without_torch(tmp_path):
    code = f"""
import sys
from pathlib import Path
import ebmkit.cli.creating
from ebmkit.registry.scaffold import create
create("my-rings", "data", Path({str(tmp_path)!r}))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
