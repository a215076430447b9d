"""`ebmkit evaluate` and `ebmkit report`."""

import json
from pathlib import Path

import pytest
import torch
from commands import invoked
from training_runs import trained

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.evaluation.measures import as_rows, evaluate
from ebmkit.features.pixels import Pixels
from ebmkit.runs.model import load

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run on digits."""
    place = tmp_path_factory.mktemp("runs") / "digits"
    trained(place, {"train.iterations": "3"})
    return place


def test_the_measures_are_those_of_the_library(made):
    stdout, _ = invoked("evaluate", made, "-n", 40, "-s", "features.size=4", "--seed", 3, "--json")
    model, rng = load(made), torch.Generator().manual_seed(3)
    examples = Examples(digits())
    expected = evaluate(
        lambda n: model.sample(n, rng),
        lambda n: model.init.sample(n, rng),
        examples,
        Pixels(examples, size=4),
        n=40,
        seed=3,
    )
    found = json.loads(stdout)
    assert found["updates"] == 3
    assert found["measures"] == json.loads(json.dumps(as_rows(expected)))
    assert json.loads((made / "evaluation.json").read_text(encoding="utf-8")) == found


def test_the_table_shows_each_value_with_its_scale(made):
    stdout, stderr = invoked("evaluate", made, "-n", 40, "-s", "features.size=4")
    lines = stdout.splitlines()
    assert lines[0].split() == ["measure", "samples", "real", "noise"]
    assert any(line.startswith("Fréchet distance (features=pixels 4x4)") and len(line.split()) >= 6 for line in lines)
    assert "n=40, seed=0, features=pixels 4x4, preprocessing: averaged to 4x4" in stderr
    assert "note: " in stderr


def test_by_default_half_of_the_data_is_compared(made):
    stdout, _ = invoked("evaluate", made, "-s", "features.size=1", "--json")
    assert {measure["n"] for measure in json.loads(stdout)["measures"]} == {len(digits()) // 2}


def test_inception_weights_choose_inception_features(made, tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"not these")
    message = invoked("evaluate", made, "--inception-weights", tmp_path / "weights.pth", code=2)[1]
    assert "is not pt_inception-2015-12-05-6726825d.pth: its sha256 is" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--features", "pixel"], "unknown features 'pixel'. Did you mean 'pixels'?"),
        (["-s", "features.sizes=3"], "features has no setting 'sizes' (selected: pixels). Did you mean 'size'?"),
        (["-s", "features.size=x"], "features.size must be int | none, not 'x'"),
        (["-s", "features.size=99"], "features.size must be at least 1 and at most 8, not 99"),
        (["-s", "sampler.steps=3"], "unknown section 'sampler'. Sections: features"),
        (["--features", "torchscript"], "features 'torchscript' needs features.path ("),
        (["-n", "0"], "n must be from 20 to 898"),
        (["-n", "5000"], "n must be from 20 to 898"),
        (["--weights", "first"], "--weights must be auto or average or last, not 'first'"),
        (["--weights", "average"], "has no 'average' weights, only last"),
    ],
)
def test_bad_input_is_refused_in_one_line(made, words, message):
    error = invoked("evaluate", made, *words, code=2)[1].strip()
    assert message in error
    assert error.startswith("error: ")
    assert "\n" not in error


def test_the_report_is_written_with_the_last_measures(made, tmp_path):
    invoked("evaluate", made, "-n", 40, "-s", "features.size=2")
    stdout, _ = invoked("report", made, "--updates", 2)
    assert stdout == f"{made / 'report.html'}\n"
    text = (made / "report.html").read_text(encoding="utf-8")
    assert "Energy distance (features=pixels)" in text
    assert "n=40" in text
    stdout, _ = invoked("report", made, "--updates", 2, "--out", tmp_path / "other.html")
    assert Path(stdout.strip()) == tmp_path / "other.html"
    assert (tmp_path / "other.html").stat().st_size > 10_000


def test_a_report_of_another_folder_is_refused(tmp_path):
    error = invoked("report", tmp_path, code=2)[1].strip()
    assert error.startswith("error: ")
    assert "\n" not in error


def test_a_batch_below_one_is_refused(made):
    assert invoked("evaluate", made, "--batch", 0, code=2)[1].startswith("error: batch must be at least 1, not 0")


def test_a_report_elsewhere_replaces_a_file_only_with_force(made, tmp_path):
    mine = tmp_path / "mine.html"
    mine.write_text("hello", encoding="utf-8")
    assert f"{mine} exists; replace it by --force" in invoked("report", made, "--out", mine, code=2)[1]
    assert mine.read_text(encoding="utf-8") == "hello"
    assert "must end in .html" in invoked("report", made, "--out", tmp_path / "a.png", code=2)[1]
    invoked("report", made, "--out", mine, "--updates", 1, "--force")
    assert mine.stat().st_size > 10_000


@pytest.mark.parametrize("text", ["[]", '{"measures": [{"value": 1}]}', '{"measures": [{"name": "x", "value": "hi"}]}'])
def test_a_damaged_evaluation_is_refused_by_the_report(made, text):
    (made / "evaluation.json").write_text(text, encoding="utf-8")
    assert "write it again with: ebmkit evaluate" in invoked("report", made, code=2)[1]
    (made / "evaluation.json").unlink()


@pytest.mark.parametrize("batch", ["1", "4"])
def test_a_run_with_a_small_batch_gets_its_report(tmp_path, batch):
    trained(tmp_path / "a", {"train.iterations": "2", "train.batch_size": batch})
    invoked("report", tmp_path / "a", "--updates", 1)
    text = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "Each row is a chain" in text


def test_the_help_of_report_offers_a_folder_only():
    assert "ebmkit export" in invoked("evaluate", "--help")[0]
    assert "ebmkit export" not in invoked("report", "--help")[0]


def test_an_evaluation_has_its_schema(made):
    stdout, _ = invoked("evaluate", made, "-n", 40, "-s", "features.size=1", "--json")
    assert json.loads(stdout)["schema"] == 2
    assert json.loads((made / "evaluation.json").read_text(encoding="utf-8"))["schema"] == 2
