"""The studies of the examples folder: each is one that `ebmkit study` can begin."""

from pathlib import Path

import pytest
from commands import invoked
from PIL import Image

CELLS = {"recipe-digits": 18, "recipe-fashion": 18, "switches-fashion": 27}
STUDIES = sorted((Path(__file__).parent.parent / "examples" / "studies").glob("*.toml"))

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_a_study_of_the_examples_can_begin(study):
    Image.new("L", (32, 32)).save("a.png")
    data = [] if study.stem == "recipe-digits" else ["-s", "data.path=."]
    stdout, _ = invoked("study", "a", "--config", study, *data, "--list")
    assert stdout.splitlines() == [f"ebmkit study a --cell {number}" for number in range(1, CELLS[study.stem] + 1)]


def test_the_parts_of_the_preset_are_varied_one_by_one():
    assert [path.stem for path in STUDIES] == [*CELLS]
