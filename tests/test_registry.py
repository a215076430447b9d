"""Components are found by kind and name, registered, and refused in one line."""

import pytest

import ebmkit
from ebmkit.config.optimizers import find_optimizer
from ebmkit.config.resolution import find
from ebmkit.errors import UsageError
from ebmkit.registry import builtin
from ebmkit.registry.component import BUILT_IN, HOOKS, KINDS, Plugin
from ebmkit.registry.lookup import Registry, blame, get_registry, register
from ebmkit.samplers.langevin import Langevin

HOOK = "from ebmkit import hookimpl\n\n@hookimpl\ndef samplers():\n    return {names}\n"


def refused(match, call, *arguments):
    with pytest.raises(UsageError, match=match) as error:
        call(*arguments)
    assert "\n" not in str(error.value)


def test_the_built_in_components_come_through_the_hooks():
    for kind, hook in HOOKS.items():
        mine = [one for one in get_registry().of_kind(kind) if one.plugin is BUILT_IN]
        assert {one.name: one.target for one in mine} == getattr(builtin, hook)()
        assert get_registry().of_kind(kind)[: len(mine)] == mine


def test_a_component_is_found_by_kind_and_name():
    found = get_registry().find("sampler", "langevin")
    assert found.load() is Langevin
    assert found.where == "ebmkit.samplers.langevin:Langevin"
    assert str(found.plugin) == f"ebmkit {ebmkit.__version__}"
    assert get_registry().find("sampler", "shortrun-ebmkit:langevin") is found


def test_an_unknown_name_is_refused_with_the_nearest():
    refused(
        r"^unknown energy 'convmet'\. Did you mean 'convnet'\? Installed: convnet, ",
        get_registry().find,
        "energy",
        "convmet",
    )
    refused(r"^unknown sampler ''\. Installed: langevin, hmc", get_registry().find, "sampler", "")
    refused(r"^unknown sampler 'nobody:langevin'\.", get_registry().find, "sampler", "nobody:langevin")


def test_an_unknown_kind_is_refused_with_the_nearest():
    message = (
        r"^unknown kind 'samplers'\. Did you mean 'sampler'\? "
        r"Kinds: energy, sampler, init, data, watcher, features, method, network\.$"
    )
    refused(message, get_registry().find, "samplers", "langevin")
    refused(message, register, "samplers", "mine", Langevin)


def test_a_registered_component_can_be_chosen_by_name(fresh_registry):
    class Mine(Langevin):
        """My own."""

    register("sampler", "mine", Mine)
    found = get_registry().find("sampler", "mine")
    assert found.load() is Mine
    assert found.summary == "My own."
    assert found.where.endswith("Mine")
    assert str(found.plugin) == "registered in this session"
    assert "mine" in get_registry().names("sampler")


def test_a_name_registered_again_stands_for_the_newer(fresh_registry):
    register("sampler", "mine", "a:B")
    register("sampler", "mine", Langevin)
    assert get_registry().find("sampler", "mine").target is Langevin
    assert get_registry().names("sampler").count("mine") == 1


def test_a_built_in_name_cannot_be_registered(fresh_registry):
    refused(
        r"^sampler 'langevin' is built in and cannot be replaced; choose another name$",
        register,
        "sampler",
        "langevin",
        int,
    )
    assert get_registry().find("sampler", "langevin").load() is Langevin
    register("init", "langevin", Langevin)


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("two words", Langevin, "'two words' is not a name"),
        ("a:b", Langevin, "'a:b' is not a name"),
        ("a,b", Langevin, "'a,b' is not a name"),
        ("", Langevin, "'' is not a name"),
        (3, Langevin, "3 is not a name"),
        ("mine", 3, "'mine' must be a callable or 'package.module:Name', not 3"),
        ("mine", "package.module.Name", "must be a callable or"),
    ],
)
def test_invalid_components_cannot_be_registered(fresh_registry, name, target, reason):
    register("sampler", "mine", Langevin)
    refused(rf"^register: hook 'samplers': .*{reason}", register, "sampler", name, target)
    assert get_registry().find("sampler", "mine").target is Langevin


def test_a_name_of_two_packages_needs_the_package(install):
    install("plugin-a", HOOK.format(names={"same": "builtins:int"}))
    install("plugin-b", HOOK.format(names={"same": "builtins:float"}))
    refused(
        r"^sampler 'same' is offered by several packages; write plugin-a:same or plugin-b:same\.$",
        get_registry().find,
        "sampler",
        "same",
    )
    assert get_registry().find("sampler", "plugin-a:same").load() is int
    assert get_registry().find("sampler", "plugin-b:same").load() is float
    assert {"plugin-a:same", "plugin-b:same"} <= set(get_registry().names("sampler"))
    assert "same" not in get_registry().names("sampler")
    assert get_registry().broken == []


def test_every_name_that_is_listed_is_found(install):
    install("plugin-a", HOOK.format(names={"same": "builtins:int"}))
    install("plugin-b", HOOK.format(names={"same": "builtins:float"}))
    for kind in KINDS:
        assert len(get_registry().names(kind)) == len(get_registry().of_kind(kind))
        for name in get_registry().names(kind):
            assert get_registry().find(kind, name).kind == kind


def test_an_unknown_name_reports_broken_plug_ins():
    broken = Registry(
        plugins=[Plugin("ebmkit-x", "0.2", "x = x", "ImportError: no y"), Plugin("ebmkit-z", "1", "z = z")]
    )
    with pytest.raises(UsageError) as error:
        broken.find("sampler", "x")
    assert str(error.value).endswith("A plug-in did not load: ebmkit-x 0.2 (ImportError: no y).")
    assert "ebmkit-z" not in str(error.value)


def test_the_registry_is_built_once(fresh_registry):
    assert get_registry() is get_registry()


def test_an_error_notes_the_component_it_passed_through(install):
    install("bad-sampler", HOOK.format(names={"bad": "bad_sampler:Bad"}) + "\ndef Bad():\n    raise ValueError('no')\n")
    bad, good = get_registry().find("sampler", "bad"), get_registry().find("sampler", "langevin")
    with pytest.raises(ValueError, match="no") as caught:
        bad.load()()
    blame(caught.value, [bad, good])
    assert caught.value.__notes__ == ["in sampler 'bad' from bad-sampler 0.1 (bad_sampler:Bad)"]
    own = ValueError("ours")
    blame(own, [bad, good])
    assert not hasattr(own, "__notes__")


def test_an_unknown_name_in_a_file_is_refused_with_its_line():
    from ebmkit.config.layers import Value

    refused(r"^a\.toml:3: unknown sampler 'x'\.", find, "sampler", "x", Value("x", "a.toml:3"))
    assert find("optimizer", "adam", Value("adam", "")) == find_optimizer("adam")
