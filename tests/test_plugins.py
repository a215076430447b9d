"""Plug-in packages: a valid one is found, a broken one is recorded and does not affect the others."""

import sys

import pytest

import ebmkit
from ebmkit.registry.component import KINDS, PluginError
from ebmkit.registry.lookup import get_registry

MARKED = "from ebmkit import hookimpl\n\n@hookimpl\ndef {hook}:\n    {body}\n"
GOOD = MARKED.format(hook="samplers()", body="return {'good': 'good_sampler.part:Good'}") + "\nEBMKIT_PLUGIN_API = 2\n"
# Sources that break a rule, and the reason that must be recorded.
BROKEN = {
    "bad-import": ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "bad-syntax": ("def f(:\n", "SyntaxError: "),
    "bad-exit": ("import sys\nsys.exit('enough')\n", "called sys.exit: enough"),
    "bad-name": (MARKED.format(hook="sampler()", body="return {}"), "unknown hook 'sampler'. Did you mean 'samplers'?"),
    "bad-word": (MARKED.format(hook="zzz()", body="return {}"), "unknown hook 'zzz'."),
    "bad-arguments": (MARKED.format(hook="samplers(kind)", body="return {}"), "PluginValidationError: "),
    "bad-raise": (MARKED.format(hook="inits()", body="raise ValueError('x\\ny')"), "ValueError: x y"),
    "bad-late-exit": (MARKED.format(hook="energies()", body="raise SystemExit"), "called sys.exit"),
    "bad-list": (MARKED.format(hook="samplers()", body="return [int]"), "hook 'samplers' must return a dict of names"),
    "bad-key": (MARKED.format(hook="inits()", body="return {'a b': int}"), "hook 'inits': 'a b' is not a name"),
    "bad-target": (MARKED.format(hook="inits()", body="return {'a': 3}"), "hook 'inits': 'a' must be a callable or"),
    "bad-thief": (
        MARKED.format(hook="samplers()", body="return {'stolen': int, 'langevin': int}"),
        "sampler 'langevin' is built in and cannot be replaced",
    ),
    "bad-newer": (GOOD.replace("API = 2", "API = 3"), "needs plug-in API 3; this ebmkit "),
    "bad-number": (GOOD.replace("API = 2", "API = '2'"), "needs plug-in API 2; this ebmkit "),
    "bad-empty": ("", "implements no hook: mark a function with @ebmkit.hookimpl"),
    "bad-module": (
        GOOD + "import json as networks\n",
        "its module 'networks' has the name of the hook, which it replaces",
    ),
    "bad-unmarked": ("def samplers():\n    return {'a': int}\n", "implements no hook"),
}


@pytest.fixture
def crowded(install):
    """One valid plug-in among all the broken ones."""
    for package, (source, _) in BROKEN.items():
        install(package, source)
    install("good-sampler", GOOD)


def names():
    return {kind: get_registry().names(kind) for kind in KINDS}


def plugin(package):
    (found,) = [plugin for plugin in get_registry().plugins if plugin.package == package]
    return found


def test_a_valid_plug_in_is_found_with_its_package(install):
    install("good-sampler", GOOD)
    found = get_registry().find("sampler", "good")
    assert str(found.plugin) == "good-sampler 0.1"
    assert found.plugin.entry == "good_sampler = good_sampler"
    assert found.plugin.error == ""
    assert found.where == "good_sampler.part:Good"
    assert get_registry().of_kind("sampler")[-1] is found


def test_a_valid_plug_in_is_found_among_broken_ones(crowded):
    assert str(get_registry().find("sampler", "good").plugin) == "good-sampler 0.1"
    assert {plugin.package for plugin in get_registry().broken} >= set(BROKEN)


def test_broken_plug_ins_add_no_parts(install):
    install("good-sampler", GOOD)
    without = names()
    for package, (source, _) in BROKEN.items():
        install(package, source)
    assert names() == without


@pytest.mark.parametrize("package", BROKEN)
def test_a_broken_plug_in_is_recorded_with_one_line(install, package):
    source, reason = BROKEN[package]
    install(package, source)
    found = plugin(package)
    assert reason in found.error
    assert "\n" not in found.error
    assert (found.version, found.entry) == ("0.1", f"{package.replace('-', '_')} = {package.replace('-', '_')}")


@pytest.mark.parametrize("package", BROKEN)
def test_strict_mode_raises_what_is_recorded_otherwise(install, monkeypatch, package):
    install(package, BROKEN[package][0])
    monkeypatch.setenv("EBMKIT_STRICT_PLUGINS", "1")
    with pytest.raises((Exception, SystemExit)):
        get_registry()


def test_a_newer_plug_in_api_is_refused_with_what_to_type(install):
    install("bad-newer", BROKEN["bad-newer"][0])
    assert plugin("bad-newer").error == (
        f"needs plug-in API 3; this ebmkit {ebmkit.__version__} has 2: pip install --upgrade shortrun-ebmkit"
    )


def test_plug_ins_are_ordered_by_package_name(install):
    wanted = ["a-plugin", "B-plugin", "c-plugin"]
    for package in ("c-plugin", "a-plugin", "B-plugin"):
        install(package, GOOD.replace("'good'", f"'{package}'"))
    assert [plugin.package for plugin in get_registry().plugins if plugin.package in wanted] == wanted
    assert get_registry().names("sampler")[-3:] == wanted


def test_entry_points_of_a_package_are_ordered_by_name(install):
    (install("two-parts", GOOD) / "other_part.py").write_text(GOOD.replace("good", "other"), encoding="utf-8")
    install("good-sampler", GOOD, entry_points="[ebmkit]\nb = good_sampler\na = other_part\n")
    assert [plugin.entry for plugin in get_registry().plugins if plugin.package == "good-sampler"] == [
        "a = other_part",
        "b = good_sampler",
    ]


def test_of_a_name_twice_in_a_package_the_first_is_used(install):
    install("good-sampler", GOOD, entry_points="[ebmkit]\na = good_sampler\nb = good_sampler\n")
    assert get_registry().find("sampler", "good").plugin.entry == "a = good_sampler"
    assert get_registry().find("sampler", "good-sampler:good") is get_registry().find("sampler", "good")
    assert get_registry().broken[0].error == "sampler 'good' comes from two entry points of good-sampler"


def test_a_module_whose_getattr_raises_affects_no_other(install):
    install("a-basilisk", f"{GOOD}\ndef __getattr__(name):\n    raise RuntimeError(name)\n".replace("'good'", "'gaze'"))
    install("good-sampler", GOOD)
    assert get_registry().find("sampler", "good").plugin.package == "good-sampler"
    assert plugin("good-sampler").error == ""


def test_all_plug_ins_can_be_disabled(crowded, monkeypatch):
    monkeypatch.setenv("EBMKIT_PLUGINS", "none")
    assert get_registry().plugins == []
    assert "good" not in get_registry().names("sampler")
    assert "langevin" in get_registry().names("sampler")


def test_a_disabled_plug_in_is_not_imported(install, site, monkeypatch):
    install("leaves-trace", f"open({str(site / 'trace')!r}, 'w').close()\n")
    monkeypatch.setenv("EBMKIT_PLUGINS", "none")
    get_registry()
    assert not (site / "trace").exists()
    monkeypatch.setenv("EBMKIT_PLUGINS", "all")
    get_registry.cache_clear()
    get_registry()
    assert (site / "trace").exists()


def test_a_list_of_packages_disables_all_others(crowded, monkeypatch):
    monkeypatch.setenv("EBMKIT_PLUGINS", "Good-Sampler, bad-exit")
    assert [plugin.package for plugin in get_registry().plugins] == ["bad-exit", "good-sampler"]


def test_a_package_without_metadata_is_recorded_as_broken(install, site):
    install("half-removed", GOOD, metadata=False)
    install("good-sampler", GOOD)
    assert get_registry().find("sampler", "good").plugin.package == "good-sampler"
    assert f"a package in {site} has no METADATA" in plugin("unknown").error


def test_unreadable_entry_points_are_recorded_as_broken(install):
    install("bad-file", GOOD, entry_points="[ebmkit]\nno equals sign\n")
    install("bad-value", GOOD, entry_points="[ebmkit]\nx = not a module!\n")
    install("good-sampler", GOOD)
    assert get_registry().find("sampler", "good").plugin.package == "good-sampler"
    assert {"bad-file", "bad-value"} <= {plugin.package for plugin in get_registry().broken}


def test_broken_entry_points_are_ordered_by_package(install):
    packages = [f"{letter}-file" for letter in "gbfaced"]
    for package in packages:
        install(package, "", entry_points="[ebmkit]\nno equals sign\n")
    assert [plugin.package for plugin in get_registry().broken if plugin.package in packages] == sorted(packages)


def test_broken_entry_points_of_other_groups_are_ignored(install):
    install("for-others", "", entry_points="[console_scripts]\nno equals sign\n")
    install("good-sampler", GOOD)
    assert "for-others" not in [plugin.package for plugin in get_registry().plugins]
    assert "good" in get_registry().names("sampler")


def test_unreadable_entry_points_raise_in_strict_mode(install, monkeypatch):
    install("bad-file", GOOD, entry_points="[ebmkit]\nno equals sign\n")
    monkeypatch.setenv("EBMKIT_STRICT_PLUGINS", "1")
    with pytest.raises((TypeError, ValueError)):
        get_registry()


def test_a_built_in_name_raises_in_strict_mode(install, monkeypatch):
    install("bad-thief", BROKEN["bad-thief"][0])
    monkeypatch.setenv("EBMKIT_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="sampler 'langevin' is built in"):
        get_registry()


def test_the_first_of_two_copies_on_the_path_is_used(install, tmp_path, monkeypatch):
    install("good-sampler", GOOD)
    second = tmp_path / "second" / "good_sampler-0.2.dist-info"
    second.mkdir(parents=True)
    (second / "METADATA").write_text("Metadata-Version: 2.1\nName: good-sampler\nVersion: 0.2\n", encoding="utf-8")
    (second / "entry_points.txt").write_text("[ebmkit]\ngood_sampler = good_sampler\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(second.parent)])
    assert str(get_registry().find("sampler", "good").plugin) == "good-sampler 0.1"
