"""Plug-ins that end the process, print, or never finish importing: the other parts can still be listed and used."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout

import pytest

import ebmkit
from ebmkit.errors import Notice
from ebmkit.registry import importing
from ebmkit.registry.lookup import get_registry

GOOD = "from ebmkit import hookimpl\n\n@hookimpl\ndef samplers():\n    return {'good': 'good_sampler:Good'}\n"
SILENT = "class Silent(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\n\nraise Silent\n"
# Modules, and what is recorded of them.
HOSTILE = {
    "a-base-exception": ("raise BaseException('x')\n", "BaseException: x"),
    "a-generator-exit": ("raise GeneratorExit\n", "GeneratorExit"),
    "a-skipped-test": ("import pytest\n\npytest.skip('x', allow_module_level=True)\n", "Skipped: x"),
    "a-silent-error": (SILENT, "Silent"),
    "a-long-error": ("raise ValueError('x' * 9999)\n", f"ValueError: {'x' * 200}"),
    "a-long-number": ("EBMKIT_PLUGIN_API = 'x' * 9999\n", f"needs plug-in API {'x' * 182}"),
}


def broken(package):
    (found,) = [plugin for plugin in get_registry().broken if plugin.package == package]
    return found


@pytest.mark.parametrize("package", HOSTILE)
def test_whatever_an_import_raises_is_recorded(install, package):
    source, reason = HOSTILE[package]
    install(package, source)
    install("good-sampler", GOOD)
    assert broken(package).error == reason
    assert get_registry().find("sampler", "good").plugin.package == "good-sampler"


def test_ctrl_c_during_an_import_is_not_an_error_of_the_plug_in(install):
    install("a-wait", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        get_registry()


def test_what_a_plug_in_prints_does_not_go_to_stdout(install):
    install("good-sampler", f"print('garbage')\n{GOOD.replace('return', 'print(1)' + chr(10) + '    return')}")
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        get_registry().find("sampler", "good")
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "garbage\n1\n")


@pytest.mark.parametrize("content", [b"Name: \xff\xfe\n", b"Name: " + b"x" * 9999, b"Name: a\nVersion: " + b"1" * 9999])
def test_a_package_with_unreadable_metadata_does_not_hide_the_others(install, site, content):
    install("hostile", GOOD)
    (site / "hostile-0.1.dist-info" / "METADATA").write_bytes(content)
    install("good-sampler", GOOD)
    assert get_registry().find("sampler", "good").plugin.package == "good-sampler"
    assert "has no METADATA that can be read: remove its .dist-info" in broken("unknown").error


def test_an_entry_point_with_a_long_name_is_shown_in_part(install):
    install("hostile", "", entry_points=f"[ebmkit]\n{'x' * 9999} = {'y' * 9999}\n")
    plugin = broken("hostile")
    assert len(plugin.entry) == 200
    assert len(plugin.error) < 500


def test_a_plug_in_that_imports_for_long_is_named(install, monkeypatch):
    monkeypatch.setattr(importing, "PATIENCE", 0.01)
    warned = threading.Event()
    monkeypatch.setattr(importing, "warned", warned, raising=False)
    source = "import warnings\nfrom ebmkit.registry import importing\n\nimportant = importing.warned.wait(60)\n"
    shown = []

    def record(message, category, *place):
        shown.append((str(message), category))
        warned.set()

    monkeypatch.setattr("warnings.showwarning", record)
    install("good-sampler", source + GOOD)
    assert get_registry().find("sampler", "good").plugin.package == "good-sampler"
    ((line, category),) = shown
    assert category is Notice
    assert line.startswith("the plug-in good-sampler (good_sampler = good_sampler) has been importing for 0.01 s")
    assert "set EBMKIT_PLUGINS to none" in line


def listed(site, *, ctrl_c=False, **environment):
    """stdout and stderr of `ebmkit list --json` with the plug-ins of a folder, and its exit code."""
    root = os.path.dirname(os.path.dirname(ebmkit.__file__))
    path = os.pathsep.join([str(site), root])
    process = subprocess.Popen(
        [sys.executable, "-m", "ebmkit", "list", "--json"],
        env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if ctrl_c:
            assert "now\n" in iter(process.stderr.readline, "")
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    return stdout, stderr, process.returncode


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_a_plug_in_that_never_finishes_importing(install, site):
    install("a-loop", "import sys\n\nprint('now')\nwhile True:\n    pass\n")
    stdout, stderr, code = listed(site, ctrl_c=True)
    assert (stdout, code) == ("", 130)
    assert "Traceback" not in stderr
    stdout, _, code = listed(site, EBMKIT_PLUGINS="none")
    assert code == 0
    assert "hmc" in {part["name"] for part in json.loads(stdout)}
