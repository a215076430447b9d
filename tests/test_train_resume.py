"""`ebmkit train --resume`."""

import shutil
import tomllib
from pathlib import Path

import pytest
from commands import SMALL, everything, printed, same_run, train

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of two updates, to be copied."""
    place = tmp_path_factory.mktemp("runs") / "done"
    assert train(*SMALL, "--iterations", "2", "--out", str(place)) == (f"{place}\n", "")
    return place


def test_a_resumed_run_stays_in_its_folder(finished):
    shutil.copytree(finished, "a")
    stdout, stderr = train("--resume", "a", "--iterations", "4", quiet=False)
    assert stdout == "a\n"
    assert "work      K=3 chain steps x 4 updates, from update 2" in stderr
    train(*SMALL, "--iterations", "4", "--out", "b")
    assert same_run("a", "b")
    one, other = (tomllib.loads(Path(place, "config.toml").read_text()) for place in "ab")
    assert one == other


def test_printing_or_trying_a_resumption_changes_nothing(finished):
    shutil.copytree(finished, "a")
    before = everything()
    assert printed("--resume", "a", "--iterations", "9")[0]["train"]["iterations"] == 9
    train("--resume", "a", "--iterations", "9", "--dry-run")
    assert everything() == before
