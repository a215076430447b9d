"""The commands that look at the parts, and completion."""

import json
import platform
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

import ebmkit
from ebmkit.cli import complete
from ebmkit.cli.main import app
from ebmkit.registry.component import KINDS, Plugin
from ebmkit.registry.lookup import register, get_registry
from ebmkit.config.optimizers import find_optimizer, settings_of
from ebmkit.samplers.langevin import Langevin

RUDE = "[/red] eats [bold]markup[/bold], :100: and {braces}."


@pytest.fixture(autouse=True)
def _only_built_in_parts(monkeypatch):
    monkeypatch.setenv("EBMKIT_PLUGINS", "none")
    get_registry.cache_clear()
    yield
    get_registry.cache_clear()


def called(*words: str, code: int = 0, env: dict[str, str] | None = None) -> tuple[str, str]:
    """What a command printed on stdout and stderr; it must end by this exit code."""
    result = CliRunner().invoke(app, list(words), env=env, prog_name="ebmkit")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result.stdout, result.stderr


def every_part() -> list[tuple[str, str]]:
    return [(kind, name) for kind in KINDS for name in get_registry().names(kind)]


def test_list_names_every_part_with_its_provenance():
    stdout, stderr = called("list")
    lines = stdout.splitlines()
    for kind, name in every_part():
        (line,) = [line for line in lines if re.match(rf"{kind} +{name} ", line)]
        assert line.rstrip().endswith(f"ebmkit {ebmkit.__version__}")
    assert stderr == ""


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_one_kind_has_that_kind_alone(kind):
    stdout, _ = called("list", kind, "--json")
    assert [(part["kind"], part["name"]) for part in json.loads(stdout)] == [
        (kind, name) for name in get_registry().names(kind)
    ]


def test_list_as_json_says_where_parts_are_from():
    (part,) = [part for part in json.loads(called("list", "--json")[0]) if part["name"] == "hmc"]
    assert part == {
        "kind": "sampler",
        "name": "hmc",
        "summary": "Hamiltonian Monte Carlo for exp(-E / temperature), with the leapfrog integrator.",
        "package": "shortrun-ebmkit",
        "version": ebmkit.__version__,
        "target": "ebmkit.samplers.hmc:HMC",
    }


def test_list_keeps_names_whole_however_narrow_the_terminal():
    stdout, _ = called("list", env={"COLUMNS": "40"})
    for _, name in every_part():
        assert re.search(rf"\b{name}\b", stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "samplr"], "unknown kind 'samplr'. Did you mean 'sampler'?"),
        (["show", "smapler", "hmc"], "unknown kind 'smapler'. Did you mean 'sampler'?"),
        (["show", "sampler", "hcm"], "unknown sampler 'hcm'. Did you mean 'hmc'?"),
        (["show", "optimizer", "adamm"], "unknown optimizer 'adamm'. Did you mean 'adam'?"),
    ],
)
def test_what_is_not_there_is_one_line_with_the_nearest_name(words, message):
    stdout, stderr = called(*words, code=2)
    assert stdout == ""
    assert stderr.startswith(f"error: {message}")
    assert stderr.count("\n") == 1


def test_show_works_for_every_part_and_names_its_settings():
    for kind, name in every_part():
        component = get_registry().find(kind, name)
        stdout, _ = called("show", kind, name)
        assert stdout.startswith(f"{kind} {name} · ebmkit {ebmkit.__version__} · {component.where}\n")
        for setting in settings_of(component, kind).settings.values():
            assert f"{'watch.' + name if kind == 'watcher' else kind}.{setting.name}" in stdout
            assert setting.help
            assert setting.help.split()[0] in stdout


def test_show_works_for_every_optimizer():
    for name in ("adam", "sgd", "adamw", "rmsprop", "adagrad"):
        stdout, _ = called("show", "optimizer", name)
        for setting in settings_of(find_optimizer(name), "optimizer").settings:
            assert f"optimizer.{setting} " in stdout


def test_show_gives_type_default_and_help():
    stdout, _ = called("show", "sampler", "langevin", env={"COLUMNS": "160"})
    assert re.search(r"sampler\.step_size +float +1\.0 +Coefficient of the gradient in one step\.", stdout)
    assert re.search(r"sampler\.clip +float \| none +none +Bound on", stdout)
    assert "x' = x - step_size * dE/dx(x) + noise * N(0, I)" in stdout
    assert "Args:" not in stdout


def test_show_of_a_part_without_settings_says_so():
    register("sampler", "plain", type("Plain", (), {"__doc__": "Nothing to set.", "__module__": __name__}))
    assert "It has no settings." in called("show", "sampler", "plain")[0]


def test_a_setting_without_a_default_is_shown_as_required():
    assert re.search(r"data\.path +str +\(required\)", called("show", "data", "idx")[0])


def test_third_party_text_is_printed_as_it_is():
    def rude(*, tone: str = "[/red]") -> None:
        pass

    rude.__doc__ = f"{RUDE}\n\nArgs:\n    tone: {RUDE}\n"
    register("sampler", "rude", rude)
    wide = {"COLUMNS": "200"}
    assert RUDE in called("list", env=wide)[0]
    stdout, _ = called("show", "sampler", "rude", env=wide)
    assert stdout.count(RUDE) == 2
    assert re.search(r"sampler\.tone +str +\[/red\]", stdout)


def test_an_error_that_looks_like_markup_or_emoji_is_printed_as_it_is():
    _, stderr = called("train", "-s", "sampler.steps=[/red]:100:", code=2)
    assert "[/red]:100:" in stderr


def test_the_line_of_a_file_is_never_taken_for_an_emoji(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("\n" * 98 + "[sampler]\nstepps = 3\n")
    _, stderr = called("train", "--config", "a.toml", code=2)
    assert stderr.startswith("error: a.toml:100: sampler has no setting 'stepps'")


def test_plugins_says_that_there_are_none():
    assert called("plugins")[0].startswith("No plug-ins are installed.")
    assert json.loads(called("plugins", "--json")[0]) == []
    called("plugins", "--check")


def test_plugins_shows_what_each_brings_and_why_one_did_not_load():
    good = Plugin("ebmkit-good", "1.0", "good = good_module")
    bad = Plugin("ebmkit-bad", "0.3", "bad = bad_module", "ImportError: no module named [/red]")
    get_registry().plugins += [good, bad]
    register("sampler", "better", Langevin)
    (component,) = get_registry().components["sampler", "better"]
    get_registry().components["sampler", "better"] = [type(component)("sampler", "better", Langevin, good)]
    stdout, stderr = called("plugins")
    assert stdout.splitlines() == [
        "ebmkit-good 1.0 (good = good_module): sampler better",
        "ebmkit-bad 0.3 (bad = bad_module)",
        "  did not load: ImportError: no module named [/red]",
        "  to remove it: pip uninstall ebmkit-bad",
    ]
    assert stderr == ""
    assert "error: 1 of 2 plug-ins did not load" in called("plugins", "--check", code=1)[1]
    found = json.loads(called("plugins", "--json")[0])
    assert [(one["package"], one["brings"]) for one in found] == [
        ("ebmkit-good", ["sampler better"]),
        ("ebmkit-bad", []),
    ]
    assert found[1]["error"] == bad.error
    _, stderr = called("list")
    assert stderr.startswith("1 plug-in did not load (ebmkit-bad 0.3: ImportError: no module named [/red])")
    assert stderr.count("\n") == 1


def test_version_names_ebmkit_python_and_torch():
    stdout, _ = called("version")
    expected = f"ebmkit {ebmkit.__version__} (Python {platform.python_version()}, torch {torch.__version__})"
    assert stdout.strip() == expected


def test_looking_at_parts_does_not_import_torch():
    code = (
        "import sys; from typer.testing import CliRunner; from ebmkit.cli.main import app\n"
        "for line in ('--help', 'train --help', 'list', 'list energy --json', 'plugins', 'version'):\n"
        "    assert CliRunner().invoke(app, line.split()).exit_code == 0, line\n"
        "    assert 'torch' not in sys.modules, line\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_reader_that_has_gone_is_not_an_error_to_tell_of():
    command = [sys.executable, "-m", "ebmkit", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


def context(**params: str) -> SimpleNamespace:
    return SimpleNamespace(params=params)


def test_kinds_and_names_are_completed():
    assert complete.kinds("") == list(KINDS)
    assert complete.kinds("s") == ["sampler"]
    assert complete.names(context(kind="sampler"), "") == get_registry().names("sampler")
    assert complete.names(context(kind="sampler"), "la") == ["langevin"]
    assert complete.names(context(kind="nonsense"), "") == []
    assert complete.names_of("energy")("conv") == ["convnet"]


def test_presets_are_completed():
    assert complete.preset_names("short") == ["short-run-code"]
    assert "nijkamp2019-cifar10" in complete.preset_names("")


def test_settings_of_the_chosen_parts_are_completed():
    assert complete.settings(context(sampler="hmc"), "sampler.l") == ["sampler.leapfrog="]
    assert complete.settings(context(), "sampler.l") == []
    assert complete.settings(context(), "train.iter") == ["train.iterations="]
    assert "optimizer.lr=" in complete.settings(context(), "opt")
    assert "watch.pictures.every=" in complete.settings(context(), "watch.")


def test_values_that_a_setting_lists_are_completed():
    assert complete.settings(context(), "energy.activation=re") == ["energy.activation=relu"]
    assert complete.settings(context(sampler="hmc"), "sampler.adjust=") == [
        "sampler.adjust=true",
        "sampler.adjust=false",
    ]


def test_completion_beside_an_unknown_part_is_silent():
    assert complete.settings(context(sampler="nonsense"), "sampler.") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ebmkit train --sampler h", ["hmc"]),
        ("ebmkit show init re", ["replay"]),
        ("ebmkit train --sampler hmc -s sampler.leap", ["sampler.leapfrog="]),
        ("ebmkit train --preset short", ["short-run-code"]),
    ],
)
def test_the_shell_is_given_the_names(line, expected):
    env = {"_EBMKIT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    assert called(env=env)[0].split() == expected
