"""What was written for plug-in API 1 works, or is refused with one line that says what to change."""

import hashlib
import importlib
import inspect
import json
import linecache
from pkgutil import resolve_name

import api1
import pytest
from typer.testing import CliRunner

from ebmkit import UsageError
from ebmkit.cli.main import app
from ebmkit.registry.hooks import PLUGIN_API
from ebmkit.registry.lookup import get_registry
from ebmkit.registry.moved import MOVED, explain
from ebmkit.runs import train
from ebmkit.testing import examine, subject

HOOKS = "from ebmkit import hookimpl\n\nEBMKIT_PLUGIN_API = 1\n\n@hookimpl\ndef watchers():\n    return {names}\n"
SMALL = {
    "data": {"use": "moons"},
    "energy": {"use": "mlp", "width": 4},
    "sampler": {"steps": 2},
    "train": {"iterations": 2, "batch_size": 8},
    "watch.pictures": {"every": 0},
}
STEP = "ebmkit.Step is now ebmkit.methods.update.Update: write from ebmkit import Update"
MEASURES = (
    "ebmkit.watch.measures is now ebmkit.watchers.scalars.scalars_of: write from ebmkit.watchers import scalars_of"
)
EVALUATE = "ebmkit.interfaces.evaluate is now ebmkit.interfaces.energy_values: write from ebmkit import energy_values"
EVALUATING = "ebmkit.interfaces.evaluating is now ebmkit.interfaces.eval_mode: write from ebmkit import eval_mode"
LINES = {
    "from ebmkit.watch import measures": MEASURES,
    "from ebmkit import Step": STEP,
    "from ebmkit import Sampler, Step\nfrom ebmkit.watch import measures": f"{STEP}; {MEASURES}",
    "from ebmkit.interfaces import noise_like, evaluate, evaluating": f"{EVALUATE}; {EVALUATING}",
    "import ebmkit.interfaces\nebmkit.interfaces.evaluate": EVALUATE,
    "import ebmkit.history": "ebmkit.history is now ebmkit.evaluation.training_curves",
    "import ebmkit.metrics.frechet": "ebmkit.metrics.frechet is now ebmkit.evaluation.frechet",
    "from ebmkit.training import Trainer": (
        "ebmkit.training.Trainer is now ebmkit.methods.maximum_likelihood.Trainer: write from ebmkit import Trainer"
    ),
    "from ebmkit.run import prepare": (
        "ebmkit.run.prepare is now ebmkit.runs.training.new_run: write from ebmkit.runs import new_run"
    ),
    "from ebmkit.data.handwritten import digits": (
        "ebmkit.data.handwritten.digits is now ebmkit.data.digits.digits: write from ebmkit.data import digits"
    ),
    "from ebmkit.analysis import energies": (
        "ebmkit.analysis.energies is now ebmkit.evaluation.energy.energies: "
        "write from ebmkit.evaluation import energies"
    ),
    "from ebmkit.folder import later": "ebmkit.folder.later was removed",
    "def inside():\n    from ebmkit.loading import load\n\ninside()": (
        "ebmkit.loading.load is now ebmkit.runs.model.load: write from ebmkit import load"
    ),
}


@pytest.fixture
def package(install, site):
    """`package(name, hooks, **modules)` installs a package of several modules, with its hooks in `__init__`."""

    def package(name, hooks, **modules):
        install(name, "")
        folder = site / name.replace("-", "_")
        folder.mkdir()
        for module, source in {"__init__": hooks, **modules}.items():
            (folder / f"{module}.py").write_text(source, encoding="utf-8")
        (site / f"{folder.name}.py").unlink()
        importlib.invalidate_caches()

    return package


@pytest.fixture
def annealed(package):
    """The component of ebmkit-annealed as it was for API 1."""
    source = api1.ANNEALED_HOOKS + api1.ANNEALED_SAMPLER
    assert hashlib.sha256(source.encode()).hexdigest() == (
        "7546f6ce0354f564d7323ae692972c9db2a1c329edf395182f32395641fcfc49"
    )
    package("ebmkit-annealed", api1.ANNEALED_HOOKS, sampler=api1.ANNEALED_SAMPLER)
    return get_registry().find("sampler", "annealed")


def command(*words, code):
    ended = CliRunner().invoke(app, ["plugins", *words], env={"COLUMNS": "400"})
    assert ended.exit_code == code, ended.output
    return ended.stdout


def failed_import(site, source):
    (site / "old_code.py").write_text(source, encoding="utf-8")
    with pytest.raises((ImportError, AttributeError)) as caught:
        importlib.import_module("old_code")
    return caught.value


def test_the_plug_in_api_is_2():
    assert PLUGIN_API == 2


def test_a_sampler_for_api_1_passes_the_kit(annealed):
    outcomes = list(examine(subject("sampler", annealed.load(), None, {"steps": 10})))
    assert [one for one in outcomes if one.verdict == "failed"] == []
    assert len(outcomes) > 20


def test_a_sampler_for_api_1_trains(annealed, tmp_path):
    settings = SMALL | {"sampler": {"use": "annealed", "steps": 2}}
    assert [update.index for update in train(settings, folder=tmp_path / "run")] == [1, 2]
    assert annealed.plugin.error == ""


@pytest.mark.parametrize("source", LINES, ids=[source.splitlines()[0] for source in LINES])
def test_a_moved_name_is_reported_with_its_new_name(site, source):
    assert explain(failed_import(site, source)) == LINES[source]


@pytest.mark.parametrize(
    "source", ["import nowhere", "from ebmkit import Nothing", "import ebmkit\nebmkit.nothing", "import ebmkit.nothing"]
)
def test_other_import_errors_are_not_about_moved_names(site, source):
    assert explain(failed_import(site, source)) == ""


def test_a_file_that_is_no_longer_python_is_not_read(site):
    error = failed_import(site, "from ebmkit import Step")
    (site / "old_code.py").write_text("not python at all", encoding="utf-8")
    linecache.checkcache()
    assert explain(error) == STEP


def test_an_import_string_with_a_moved_module_is_refused(package):
    package("old-digits", HOOKS.format(names="{'old': 'ebmkit.data.handwritten:digits'}"))
    with pytest.raises(UsageError) as caught:
        get_registry().find("watcher", "old").load()
    assert str(caught.value) == (
        "watcher 'old' of old-digits 0.1 does not import: ebmkit.data.handwritten.digits is now "
        "ebmkit.data.digits.digits: write from ebmkit.data import digits (ebmkit.data.handwritten:digits)"
    )


def test_an_old_watcher_is_refused_with_its_moved_names(package, tmp_path):
    package("old-table", HOOKS.format(names="{'table': 'old_table.watcher:table'}"), watcher=api1.WATCHER)
    line = f"watcher 'table' of old-table 0.1 does not import: {STEP}; {MEASURES} (old_table.watcher:table)"
    with pytest.raises(UsageError) as caught:
        list(train(SMALL | {"watch.table": {}}, folder=tmp_path / "run"))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    (found,) = json.loads(command("--check", "old-table", "--json", code=1))
    assert [one["reason"] for one in found["checks"]] == [line]


def test_plugins_shows_hooks_that_import_moved_names(package):
    package("old-table", api1.WATCHER + HOOKS.format(names="{'table': table}"))
    assert f"did not load: {STEP}; {MEASURES}" in command("old-table", code=0)
    (found,) = json.loads(command("old-table", "--json", code=0))
    assert found["error"] == f"{STEP}; {MEASURES}"


@pytest.mark.parametrize(("old", "new"), [("steps", "updates"), ("state", "save")])
def test_a_watcher_with_an_old_fact_is_refused(package, tmp_path, old, new):
    facts = "steps" if old == "steps" else "updates, state"
    source = f"def old({facts}):\n    yield from {facts.partition(',')[0]}\n"
    package("old-facts", HOOKS.format(names="{'old': old}") + source)
    line = f"old asks for '{old}', which is called '{new}' since plug-in API 2: rename the parameter"
    with pytest.raises(UsageError) as caught:
        list(train(SMALL | {"watch.old": {}}, folder=tmp_path / "run"))
    assert str(caught.value) == f"watch.old: {line} (in watcher 'old' from old-facts 0.1)"
    assert not (tmp_path / "run").exists()
    (found,) = json.loads(command("--check", "old-facts", "--json", code=1))
    assert line in found["checks"][0]["reason"]


def test_every_new_name_of_the_table_exists():
    for old, new in MOVED.items():
        assert resolve_name(new) is not None, old


def test_no_old_name_of_the_table_can_be_imported():
    for old, new in MOVED.items():
        module, _, name = old.rpartition(".")
        statement = f"import {old}" if inspect.ismodule(resolve_name(new)) else f"from {module} import {name}"
        with pytest.raises(ImportError):
            exec(statement)
