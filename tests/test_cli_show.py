"""`ebmkit show`, and text of third parties that looks like markup."""

import re
from pathlib import Path

import pytest
from commands import invoked

import ebmkit
from ebmkit.config.optimizers import find_optimizer, settings_of
from ebmkit.registry.component import KINDS
from ebmkit.registry.lookup import get_registry, register

pytestmark = pytest.mark.usefixtures("built_in_parts_only")

RUDE = "[/red] eats [bold]markup[/bold], :100: and {braces}."


def every_part() -> list[tuple[str, str]]:
    return [(kind, name) for kind in KINDS for name in get_registry().names(kind)]


def test_show_names_the_settings_of_every_part():
    for kind, name in every_part():
        component = get_registry().find(kind, name)
        stdout, _ = invoked("show", kind, name)
        assert stdout.startswith(f"{kind} {name} · ebmkit {ebmkit.__version__} · {component.where}\n")
        for setting in settings_of(component).settings.values():
            assert f"{'watch.' + name if kind == 'watcher' else kind}.{setting.name}" in stdout
            assert setting.help
            assert setting.help.split()[0] in stdout


def test_show_names_the_settings_of_optimisers():
    for name in ("adam", "sgd", "adamw", "rmsprop", "adagrad"):
        stdout, _ = invoked("show", "optimizer", name)
        for setting in settings_of(find_optimizer(name)).settings:
            assert f"optimizer.{setting} " in stdout


def test_show_prints_type_default_and_help():
    stdout, _ = invoked("show", "sampler", "langevin", env={"COLUMNS": "160"})
    assert re.search(r"sampler\.step_size +float +1\.0 +Coefficient of the gradient in one step\.", stdout)
    assert re.search(r"sampler\.clip +float \| none +none +Bound on", stdout)
    assert "x' = x - step_size * dE/dx(x) + noise * N(0, I)" in stdout
    assert "Args:" not in stdout


def test_show_of_a_part_without_settings_says_so():
    register("sampler", "plain", type("Plain", (), {"__doc__": "Nothing to set.", "__module__": __name__}))
    assert "It has no settings." in invoked("show", "sampler", "plain")[0]


def test_a_setting_without_a_default_is_shown_as_required():
    def rows(*, path: Path, key: str) -> None:
        """Rows of a file."""

    register("data", "rows", rows)
    stdout, _ = invoked("show", "data", "rows")
    assert re.search(r"data\.path +path +\(required\)", stdout)
    assert re.search(r"data\.key +str +\(required\)", stdout)


def test_text_of_third_parties_is_printed_literally():
    def rude(*, tone: str = "[/red]") -> None:
        pass

    rude.__doc__ = f"{RUDE}\n\nArgs:\n    tone: {RUDE}\n"
    register("sampler", "rude", rude)
    wide = {"COLUMNS": "200"}
    assert RUDE in invoked("list", env=wide)[0]
    stdout, _ = invoked("show", "sampler", "rude", env=wide)
    assert stdout.count(RUDE) == 2
    assert re.search(r"sampler\.tone +str +\[/red\]", stdout)


def test_an_error_that_looks_like_markup_is_printed_literally():
    _, stderr = invoked("train", "-s", "sampler.steps=[/red]:100:", code=2)
    assert "[/red]:100:" in stderr


def test_the_line_number_of_a_file_is_not_read_as_an_emoji(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("\n" * 98 + "[sampler]\nstepps = 3\n")
    _, stderr = invoked("train", "--config", "a.toml", code=2)
    assert stderr.startswith("error: a.toml:100: sampler has no setting 'stepps'")
