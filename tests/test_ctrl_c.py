"""Ctrl-C while a command is being imported: it ends without a traceback."""

import os
import signal
import subprocess
import sys

import pytest

# At the import of a module the process sends itself SIGINT, as a terminal does.
HOOK = """
import os, signal, sys

def hook(event, words):
    if event == "import" and words[0] == os.environ["STOP_AT"] and os.environ.pop("ARMED", ""):
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(hook)
"""


def stopped(folder, module, *words):
    """`ebmkit` with these words, stopped by SIGINT as it imports a module."""
    (folder / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "STOP_AT": module, "ARMED": "1"}
    command = [sys.executable, "-m", "ebmkit", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("module", ["typer", "rich.console", "ebmkit.cli.judging"])
def test_a_command_that_is_imported_ends_without_a_word(tmp_path, module):
    done = stopped(tmp_path, module, "list")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("module", ["torch", "torch.nn"])
def test_torch_that_is_imported_ends_without_a_traceback(tmp_path, module):
    done = stopped(tmp_path, module, "train", "--iterations", "1")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")
    assert not (tmp_path / "runs").exists()
