"""Presets of plug-in packages: found, listed, shown, copied, trained with, checked, and refused in one line."""

import json
import re
import subprocess
import sys
import zipfile

import pytest
from commands import invoked

from ebmkit.config.layers import preset, presets
from ebmkit.errors import UsageError
from ebmkit.registry.lookup import get_registry

HOOK = """from pathlib import Path

from ebmkit import hookimpl


@hookimpl
def presets():
    return Path(__file__).parent / "{folder}"
"""
SMALL = "# Small and quick.\n#\n# Cost: a second\n\n[sampler]\nsteps = 3  # ours: quick\n\n[train]\niterations = 2\n"


@pytest.fixture
def bring(install, site, tmp_path, monkeypatch):
    """`bring(package, **files)` installs a package with presets of these texts."""
    monkeypatch.chdir(tmp_path)

    def bring(package, source=HOOK, **files):
        folder = site / f"of_{package}"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / "README.md").touch()
        install(package, source.format(folder=folder.name))
        monkeypatch.setenv("EBMKIT_PLUGINS", "mine,other")

    return bring


def test_presets_are_the_toml_files_of_the_folder(bring):
    bring("mine", b=SMALL, a="[train]\nseed = 3\n")
    assert list(presets())[-2:] == ["a", "b"]
    assert "images" in presets()
    assert preset("a").sections["train"]["seed"].origin == "preset a:2"


def test_a_preset_of_a_package_is_listed_shown_copied_and_trained_with(bring, tmp_path):
    bring("mine", small=SMALL)
    assert re.search(r"^small +Small and quick\. +mine 0\.1 *$", invoked("list", "presets")[0], re.MULTILINE)
    row = {"preset": "small", "summary": "Small and quick.", "package": "mine", "version": "0.1"}
    assert json.loads(invoked("list", "presets", "--json")[0])[-1] == {"schema": 2, **row}
    stdout, _ = invoked("show", "preset", "small", env={"COLUMNS": "200"})
    assert stdout.startswith("preset small · mine 0.1\nSmall and quick.\n\nCost: a second\n")
    assert re.search(r"sampler\.steps +3 +ours: quick +How many", stdout)
    invoked("copy", "preset", "mine:small", "copied.toml")
    assert (tmp_path / "copied.toml").read_text(encoding="utf-8") == SMALL
    words = ["-s", "energy.width=4", "-s", "train.batch_size=8", "-s", "watch.pictures.every=0"]
    invoked("train", "--preset", "small", *words, "--out", "a", "-q")
    assert "steps = 3" in (tmp_path / "a/config.toml").read_text(encoding="utf-8")
    listed, _ = invoked("study", "b", "--preset", "small", "-s", "sampler.noise=0.01,0.02", "--seeds", "1", "--list")
    assert len(listed.splitlines()) == 2
    assert re.search(r"mine 0\.1 \(mine = mine\): preset small$", invoked("plugins")[0], re.MULTILINE)


def test_a_name_of_two_packages_needs_the_package(bring):
    bring("mine", small=SMALL)
    bring("other", small="[train]\nseed = 4\n")
    _, stderr = invoked("show", "preset", "small", code=2)
    assert stderr == "error: preset 'small' is offered by several packages; write mine:small or other:small.\n"
    assert {"mine:small", "other:small"} <= set(presets())
    assert preset("other:small").sections["train"]["seed"].value == 4


@pytest.mark.parametrize(
    ("files", "source", "reason"),
    [
        ({"images": SMALL}, HOOK, "preset 'images' is built in and cannot be replaced"),
        ({}, HOOK, "hook 'presets': there is no .toml file in "),
        ({"a": SMALL}, HOOK.replace("{folder}", "elsewhere"), "hook 'presets': there is no .toml file in "),
        ({"two words": SMALL}, HOOK, "hook 'presets': 'two words' is not a name"),
        ({}, HOOK.replace('Path(__file__).parent / "{folder}"', "{{}}"), "must return a folder, like files('my_p"),
        ({}, HOOK.replace("Path(__file__)", "exit(3)"), "called sys.exit: 3"),
        ({}, HOOK.replace("def presets", "def preset"), "unknown hook 'preset'. Did you mean 'presets'?"),
    ],
)
def test_a_package_whose_presets_break_a_rule_is_not_used(bring, files, source, reason):
    bring("mine", source, **files)
    (broken,) = get_registry().broken
    assert reason in broken.error
    assert "mine 0.1: " in invoked("list", "presets")[1]
    assert "small" not in presets()
    _, stderr = invoked("show", "preset", "small", code=2)
    assert "A plug-in did not load: mine 0.1 (" in stderr
    assert stderr.count("\n") == 1


FAULTS = {
    "a setting": ("[sampler]\nstps = 3\n", "preset bad:2: sampler has no setting 'stps' (selected: langevin)."),
    "a value": ("[sampler]\nsteps = 'few'\n", "preset bad:2: sampler.steps must be int, not 'few'."),
    "a part": ("[energy]\nuse = 'convnt'\n", "preset bad:2: unknown energy 'convnt'. Did you mean 'convnet'?"),
    "a section": ("[posterior]\nsteps = 3\n", "preset bad:1: unknown section 'posterior'."),
    "TOML": ("[sampler\n", "preset bad"),
    "text": (b"\xff\xfe\xff", "preset 'bad' of mine 0.1 cannot be read: UnicodeDecodeError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_preset_that_does_not_resolve_is_one_line_and_fails_its_check(bring, fault):
    text, message = FAULTS[fault]
    bring("mine", bad=text, good=SMALL)
    for words in (["show", "preset", "bad"], ["train", "--preset", "bad"]):
        _, stderr = invoked(*words, code=2)
        assert stderr.startswith(f"error: {message}")
        assert stderr.count("\n") == 1
    assert json.loads(invoked("list", "presets", "--json")[0])[-1]["preset"] == "good"
    bad, good = json.loads(invoked("plugins", "--check", "mine", "--json", code=1)[0])
    assert (bad["kind"], bad["name"], good["name"]) == ("preset", "bad", "good")
    (outcome,) = bad["checks"]
    assert (outcome["check"], outcome["verdict"]) == ("presets_resolve", "failed")
    assert outcome["reason"].startswith(message)
    assert [one["verdict"] for one in good["checks"]] == ["passed"]


def test_a_preset_may_leave_open_what_has_no_default(bring):
    bring("mine", photos="[data]\nuse = 'folder'\nsize = 8\n")
    invoked("show", "preset", "photos")
    for name in ("mine", "photos", "mine:photos"):
        assert "preset photos · mine 0.1: 0 failed, 1 passed" in invoked("plugins", "--check", name)[0]
    assert "data 'folder' needs data.path" in invoked("train", "--preset", "photos", code=2)[1]


def test_presets_may_be_in_a_zipped_package(site, monkeypatch, tmp_path):
    path = tmp_path / "zipped.zip"
    source = "from importlib.resources import files\nfrom ebmkit import hookimpl\n\n@hookimpl\ndef presets():\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("zipped/__init__.py", source + "    return files('zipped') / 'presets'\n")
        archive.writestr("zipped/presets/small.toml", SMALL)
    info = site / "zipped-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zipped\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[ebmkit]\nzipped = zipped\n", encoding="utf-8")
    monkeypatch.syspath_prepend(path)
    monkeypatch.setenv("EBMKIT_PLUGINS", "zipped")
    assert preset("small").sections["sampler"]["steps"].value == 3


def test_presets_are_listed_without_torch(site, bring):
    bring("mine", small=SMALL)
    code = (
        "import sys; from ebmkit.cli.main import app\n"
        "try: app(['list', 'presets'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Small and quick." in ran.stdout


def test_an_unknown_preset_of_a_package_is_refused(bring):
    bring("mine", small=SMALL)
    with pytest.raises(UsageError, match=r"^unknown preset 'other:small'\. Did you mean 'small'\?"):
        preset("other:small")
