"""The studies of the examples folder: each is one that `ebmkit study` can begin."""

import shutil
from pathlib import Path

import pytest
from commands import invoked
from PIL import Image

TREE = Path(__file__).parent.parent
STUDIES = TREE / "examples" / "studies"
CELLS = {"recipe-digits": 18, "recipe-fashion": 18, "stable": 9, "start-and-noise": 12, "switches-fashion": 27}
ON_TOP = {"stable": ["--preset", "images"], "start-and-noise": ["--preset", "images"]}

pytestmark = pytest.mark.usefixtures("empty_folder")


def begun(study, count):
    """Whether the study of this name lists this number of cells."""
    Image.new("L", (32, 32)).save("a.png")
    data = [] if study == "recipe-digits" else ["-s", "data.path=."]
    words = ("--config", STUDIES / f"{study}.toml", *ON_TOP.get(study, []), *data)
    stdout, _ = invoked("study", "a", *words, "--list")
    return stdout.splitlines() == [f"ebmkit study a --cell {number}" for number in range(1, count + 1)]


@pytest.mark.parametrize("study", CELLS)
def test_a_study_of_the_examples_can_begin(study):
    assert begun(study, CELLS[study])


def test_the_study_of_a_package_can_begin_with_it(install, monkeypatch):
    monkeypatch.delenv("EBMKIT_PLUGINS")
    name = "ebmkit_underdamped"
    site = install("momenta", f"from {name} import EBMKIT_PLUGIN_API, samplers\n")
    shutil.copytree(TREE / "plugins" / "ebmkit-underdamped" / name, site / name)
    assert begun("momentum-fashion", 6)


def test_every_study_of_the_examples_is_tried():
    assert {path.stem for path in STUDIES.glob("*.toml")} == {*CELLS, "momentum-fashion"}
