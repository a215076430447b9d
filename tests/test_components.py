"""Components: what a name stands for is loaded, described, or refused in one line."""

import functools
import inspect

import pytest

from ebmkit.config.optimizers import settings_of
from ebmkit.config.settings import REQUIRED
from ebmkit.errors import UsageError
from ebmkit.interfaces import InitDistribution, Sampler
from ebmkit.registry.component import KINDS, Component, Plugin, with_type
from ebmkit.registry.lookup import get_registry, register
from ebmkit.samplers.langevin import Langevin

EVERYTHING = [component for kind in KINDS for component in get_registry().of_kind(kind)]
FACTS = {
    "energy": {"shape"},
    "sampler": set(),
    "init": {"shape", "data"},
    "data": set(),
    "watcher": {"updates", "trainer", "folder", "examples", "iterations", "config", "save", "keep", "memory", "hold"},
    "features": {"data"},
    "method": {"parts", "shape", "data", "rng", "train"},
    "network": {"inputs", "outputs"},
}


def refused(match, call, *arguments):
    with pytest.raises(UsageError, match=match) as error:
        call(*arguments)
    assert "\n" not in str(error.value)


def component(target):
    return Component("sampler", "mine", target, Plugin("some-plugin", "1.0", "mine = mine"))


@pytest.mark.parametrize("one", EVERYTHING, ids=lambda one: f"{one.kind}-{one.name}")
def test_every_component_loads_and_is_documented(one):
    target = one.load()
    assert callable(target)
    assert one.summary == inspect.getdoc(getattr(target, "func", target)).partition("\n")[0]
    assert one.summary.endswith(".")
    asked = settings_of(one)
    assert set(asked.facts) <= FACTS[one.kind]
    for setting in asked.settings.values():
        assert setting.type, f"{setting.name} has no type that can be typed"
        assert setting.help.endswith("."), f"{setting.name} has no entry in Args"
        if setting.default is not REQUIRED and setting.default is not None:
            assert setting.convert(setting.default) == setting.default


def test_parts_implement_the_interface_of_their_kind():
    for kind, interface in (("sampler", Sampler), ("init", InitDistribution)):
        for one in get_registry().of_kind(kind):
            assert issubclass(one.load(), interface)


def test_a_partial_is_a_variant_with_other_defaults(fresh_registry):
    register("sampler", "long", functools.partial(Langevin, steps=7))
    found = get_registry().find("sampler", "long")
    assert settings_of(found).settings["steps"].default == 7
    assert found.load()().steps == 7
    assert found.where == "ebmkit.samplers.langevin:Langevin"
    assert found.summary == get_registry().find("sampler", "langevin").summary


def test_a_callable_object_has_a_place_and_a_summary():
    class Factory:
        """Makes samplers."""

        def __call__(self, *, steps: int = 1) -> Langevin:
            return Langevin(steps=steps)

    made = component(Factory())
    assert made.where.endswith("Factory")
    assert made.summary == "Makes samplers."
    assert list(settings_of(made).settings) == ["steps"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere:Thing", "ModuleNotFoundError: No module named 'nowhere'"),
        ("ebmkit.samplers.langevin:Nothing", "AttributeError: module .* has no attribute 'Nothing'"),
        ("ebmkit.samplers.langevin:Langevin.nothing", "AttributeError: "),
        ("exits:Thing", "called sys.exit: 3"),
        ("fails:Thing", "RuntimeError: two lines"),
    ],
)
def test_a_failing_import_string_is_reported_in_one_line(site, target, reason):
    (site / "exits.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    (site / "fails.py").write_text("raise RuntimeError('two\\n  lines')\n", encoding="utf-8")
    message = rf"^sampler 'mine' of some-plugin 1\.0 does not import: {reason}.* \({target}\)$"
    refused(message, component(target).load)
    refused(message, settings_of, component(target))


def test_a_nested_name_is_imported():
    assert component("ebmkit.samplers.langevin:Langevin.chain").load() is Langevin.chain


def test_a_summary_is_read_without_running_the_module(site):
    (site / "heavy.py").write_text(
        'raise RuntimeError\nclass Thing:\n    """A thing.\n\n    More."""\n', encoding="utf-8"
    )
    assert component("heavy:Thing").summary == "A thing."
    assert component("heavy:Nothing").summary == ""


@pytest.mark.parametrize("source", ["raise RuntimeError", "import sys; sys.exit(1)", "1 +", "import nowhere"])
def test_a_summary_that_cannot_be_read_is_empty(site, source):
    package = site / "spoilt"
    package.mkdir()
    (package / "__init__.py").write_text(source, encoding="utf-8")
    (package / "part.py").touch()
    for target in ("spoilt.part:Thing", "spoilt:Thing", "nowhere:Thing", ":Thing", "math:sin"):
        assert component(target).summary == ""


def test_an_exception_is_one_line_with_its_type():
    assert with_type(ValueError("a\n\n b")) == "ValueError: a b"
    assert with_type(KeyError()) == "KeyError"
    assert with_type(SystemExit("bye")) == "called sys.exit: bye"
