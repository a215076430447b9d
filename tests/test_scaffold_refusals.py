"""`ebmkit new-plugin`: the names and folders that it refuses, in one line, without writing anything."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ebmkit import UsageError
from ebmkit.cli.creating import new_plugin
from ebmkit.registry import scaffold
from ebmkit.registry.lookup import register

app = typer.Typer(pretty_exceptions_enable=False)
app.command("new-plugin")(new_plugin)
app.callback()(lambda: None)


def call(*words, code=0):
    result = CliRunner().invoke(app, ["new-plugin", *words])
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("My_Sampler", "sampler", "not 'My_Sampler'; write my-sampler"),
        ("MySampler", "sampler", "write my-sampler"),
        ("my--rings", "data", "write my-rings"),
        ("3d", "data", "write d"),
        ("ebmkit-3d", "data", "write one like my-sampler"),
        ("../escape", "data", "write escape"),
        ("-x", "data", "write x"),
        ("x\n", "data", "not 'x'; write x"),
        ("é", "data", "write one like my-sampler"),
        ("", "data", "write one like my-sampler"),
        ("a" * (scaffold.LONGEST + 1), "data", f"write {'a' * scaffold.LONGEST}"),
        ("langevin", "sampler", "ebmkit [0-9.]+ already has the sampler 'langevin'; write another, like my-langevin$"),
        ("ebmkit-double-well", "energy", "already has the energy 'double_well'; write another, like my-double-well"),
        ("ebmkit-class", "data", "'class' is a keyword of Python; write another, like my-class"),
        ("ebmkit-none", "sampler", "'None' is a keyword of Python"),
        ("class", "data", "'class' is a keyword of Python"),
        ("json", "data", "there already is a module 'json'; write another, like my-json"),
        ("winreg", "data", "there already is a module 'winreg'"),
        ("torch", "energy", "there already is a module 'torch'"),
        ("ebmkit", "energy", "there already is a module 'ebmkit'"),
        ("scikit-learn", "data", "a package 'scikit-learn' is already installed"),
        ("shortrun-ebmkit", "data", "a package 'shortrun-ebmkit' is already installed"),
        ("ebmkit-tests", "data", "pytest would take 'tests' for a test"),
        ("ebmkit-testing", "energy", "pytest would take 'Testing' for a test"),
        ("ebmkit-torch", "data", "'torch' has another meaning in the code"),
        ("ebmkit-sampler", "sampler", "'Sampler' has another meaning in the code"),
        ("my-rings", "samplr", "kind must be .*, not 'samplr'. Did you mean 'sampler'?"),
        ("my-rings", "dataste", "kind must be .*, not 'dataste'. Did you mean 'dataset'?"),
    ],
)
def test_invalid_names_and_kinds_are_refused(tmp_path, name, kind, message):
    with pytest.raises(UsageError, match=r"^(name|kind) ") as caught:
        scaffold.create(name, kind, tmp_path)
    assert re.search(message.replace("?", r"\?"), str(caught.value))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_used_name_is_refused_only_for_its_kind(tmp_path, fresh_registry):
    register("sampler", "my_own", "a.b:C")
    with pytest.raises(UsageError, match=r"already has the sampler 'my_own'; write another, like my-own-2$"):
        scaffold.create("my-own", "sampler", tmp_path)
    assert scaffold.create("my-own", "energy", tmp_path)


def test_the_command_ends_with_code_2_and_one_line(tmp_path):
    output, error = call("langevin", "--kind", "sampler", "--out", str(tmp_path), code=2)
    assert output == ""
    assert error.startswith("error: name 'langevin' cannot be used")
    assert len(error.splitlines()) == 1


def test_a_folder_that_is_not_empty_is_not_changed(tmp_path):
    (tmp_path / "my-rings").mkdir()
    kept = tmp_path / "my-rings" / "README.md"
    kept.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"my-rings exists and is not overwritten; choose another name .*, or --out$"):
        scaffold.create("my-rings", "data", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
    assert kept.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")], ids=["file", "link"])
def test_a_file_or_link_of_that_name_is_not_changed(tmp_path, make):
    make(tmp_path / "my-rings")
    with pytest.raises(UsageError, match="exists and is not overwritten"):
        scaffold.create("my-rings", "data", tmp_path)


def test_an_empty_folder_of_that_name_is_used(tmp_path):
    (tmp_path / "my-rings").mkdir()
    assert all(path.exists() for path in scaffold.create("my-rings", "data", tmp_path))


def test_a_missing_folder_is_refused_with_what_to_type(tmp_path):
    with pytest.raises(UsageError, match=r"^out must be an existing folder, not .*; create it with: mkdir -p .*/no$"):
        scaffold.create("my-rings", "data", tmp_path / "no")


@pytest.mark.parametrize("good", range(5))
def test_nothing_remains_if_a_file_cannot_be_written(tmp_path, monkeypatch, good):
    write, written = Path.write_text, []

    def full(path, text, **options):
        if len(written) == good:
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    _, error = call("my-rings", "--kind", "data", "--out", str(tmp_path), code=1)
    missing = tmp_path / "my-rings" / list(scaffold.rendered(scaffold.Package("my-rings", "data")))[good]
    assert error == f"error: cannot write {missing}: No space left on device\n"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", read_only)
    _, error = call("my-rings", "--kind", "data", "--out", str(tmp_path), code=1)
    assert error == f"error: cannot write {tmp_path / 'my-rings'}: Read-only file system\n"


def test_a_folder_filled_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    render = scaffold.rendered

    def slow(package):
        if package.name == "my-rings":
            (tmp_path / "my-rings").mkdir()
            (tmp_path / "my-rings" / "README.md").write_text("mine", encoding="utf-8")
        return render(package)

    monkeypatch.setattr(scaffold, "rendered", slow)
    with pytest.raises(OSError, match="not empty"):
        scaffold.create("my-rings", "data", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["my-rings", "README.md"]
    assert (tmp_path / "my-rings" / "README.md").read_text(encoding="utf-8") == "mine"
