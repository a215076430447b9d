"""Fixtures that several files share."""

import importlib
import os
import shutil
import signal
import sys

import hypothesis
import pytest
import torch

from ebmkit.registry.lookup import get_registry

# Torch's threads spin while they wait for each other; beside other test processes that costs ten times the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# A job in the background of a shell is started with these ignored, and so would be the processes of the tests.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# The same examples in every run, however slow the machine is.
# No test depends on how busy the machine is: neither a deadline nor the check of how long inputs take.
hypothesis.settings.register_profile(
    "ebmkit", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ebmkit")


@pytest.fixture
def fresh_registry():
    """The registry is built again for this test, and once more after it."""
    get_registry.cache_clear()
    yield get_registry
    get_registry.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch, fresh_registry):
    """A folder on sys.path: what is installed there is found, and forgotten after the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def install(site):
    """`install(package, source)` makes an installed distribution with one plug-in module of that source."""

    def install(package, source, entry_points=None, metadata=True):
        module = package.replace("-", "_")
        (site / f"{module}.py").write_text(source, encoding="utf-8")
        info = site / f"{module}-0.1.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n", encoding="utf-8")
        text = f"[ebmkit]\n{module} = {module}\n" if entry_points is None else entry_points
        (info / "entry_points.txt").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        get_registry.cache_clear()
        return site

    return install


@pytest.fixture
def built_in_parts_only(monkeypatch):
    """No plug-in package is seen in this test."""
    monkeypatch.setenv("EBMKIT_PLUGINS", "none")
    get_registry.cache_clear()
    yield
    get_registry.cache_clear()


@pytest.fixture
def empty_folder(tmp_path, monkeypatch, built_in_parts_only):
    """The test runs in an empty folder, without plug-ins; what it registers is forgotten."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory):
    """The folder of the small runs of `commands.MODELS`."""
    import commands

    place = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("EBMKIT_PLUGINS", "none")
        get_registry.cache_clear()
        commands.train_models()
        get_registry.cache_clear()
    return place


@pytest.fixture
def models(empty_folder, trained_models):
    """The test runs in a folder with copies of these runs."""
    shutil.copytree(trained_models, empty_folder, dirs_exist_ok=True)
    return empty_folder
