"""The race of trainings: its judge, its results, and what it refuses."""

import gzip
import json

import pytest
import torch
from benchmark_cases import judge, race, results
from typer.testing import CliRunner

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.data.idx import idx
from ebmkit.features.digits import Digits


def halves(n):
    """Images whose upper or lower half is bright, and which of the two."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (n,), generator=rng)
    images = torch.rand(n, 1, 8, 8, generator=rng) - 1
    images[labels == 0, :, :4] += 1
    images[labels == 1, :, 4:] += 1
    return images, labels


def folder_of_idx(folder, images, labels):
    """The idx files of images `(n, 1, H, W)` in [-1, 1]; their labels are zipped."""
    pixels = ((images[:, 0] + 1) * 127.5).round().byte()
    header = b"".join(length.to_bytes(4, "big") for length in pixels.shape)
    (folder / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + header + pixels.numpy().tobytes())
    marks = bytes([0, 0, 8, 1]) + len(labels).to_bytes(4, "big") + labels.byte().numpy().tobytes()
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(marks))


def ended(*arguments):
    found = CliRunner().invoke(race.app, [str(one) for one in arguments])
    return found.exit_code, found.output


def test_the_classifier_of_the_judge_learns_its_labels():
    images, labels = halves(400)
    features = judge.train(images, labels, seed=0)
    assert features.accuracy == 1.0
    assert features(images[:5]).shape == (5, features.d)
    assert torch.equal(features.probabilities(images).argmax(1), labels)
    again = judge.train(images, labels, seed=0)
    assert torch.equal(again(images), features(images))


def test_the_classifier_of_the_judge_is_trained_once(tmp_path, monkeypatch):
    images, labels = halves(100)
    first = judge.judge_of(Examples(images), images, labels, tmp_path / "classifier.pt")
    monkeypatch.setattr(judge, "train", None)
    second = judge.judge_of(Examples(images), images, labels, tmp_path / "classifier.pt")
    assert torch.equal(first(images), second(images))
    assert first.preprocessing == second.preprocessing


def test_the_judge_of_the_digits_is_that_of_ebmkit(tmp_path):
    examples = Examples(digits(limit=64))
    assert isinstance(judge.judge_of(examples, torch.zeros(0), None, tmp_path / "none.pt"), Digits)


def test_labels_are_those_of_the_chosen_images(tmp_path):
    images, labels = halves(40)
    folder_of_idx(tmp_path, images, labels)
    examples = Examples(idx(path=tmp_path, limit=10))
    found = judge.labels_of(examples, tmp_path)
    upper = examples.fetch(torch.arange(10))[:, 0, :4].mean((1, 2)) > 0
    assert torch.equal(found == 0, upper)


def test_measures_are_smallest_for_real_images():
    images, labels = halves(200)
    examples, features = Examples(images), judge.train(images, labels, seed=0)
    noise = torch.rand(80, 1, 8, 8) * 2 - 1
    rows = judge.judged(noise, noise, examples, features)
    frechet = next(row for row in rows if row["name"] == "Fréchet distance (features=classifier)")
    assert frechet["real_against_real"] < frechet["value"] / 2
    assert frechet["value"] == frechet["noise_against_real"]


def row(name, value):
    return {"name": name, "value": value, "noise_against_real": 9.0, "real_against_real": 0.5}


def result(*values):
    moments = [
        {
            "seconds": 10.0 * (index + 1),
            "updates": index,
            "measures": [] if value is None else [row("Recall (x)", value)],
        }
        for index, value in enumerate(values)
    ]
    return {"recipe": "r", "stopped": "", "moments": moments}


def test_a_curve_begins_with_the_starts_of_the_chains():
    curve = results.curve_of(result(3.0, None, 2.0), "Recall")
    assert curve == ([(0.0, 9.0), (10.0, 3.0), (20.0, None), (30.0, 2.0)], 0.5)
    assert results.curve_of(result(None), "Recall") is None
    assert results.curves_of({"a": {0: result(None)}, "b": {1: result(3.0)}}, "Recall").keys() == {"b"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "error: no folder of images was given: --path FOLDER must have train-images-idx3-ubyte"),
        (["--path", "missing"], "error: missing is not a folder: --path FOLDER must have"),
        (["--path", ".", "--size", 24], "error: --size must be 8, 16 or 32, not 24"),
        (["--data", "digits", "--only", "plian"], "error: unknown contender 'plian'. Did you mean 'plain'?"),
        (["--data", "digits", "--preset", "papr"], "error: unknown preset 'papr'."),
    ],
)
def test_a_race_that_cannot_be_is_refused_in_one_line(tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    code, output = ended(*arguments)
    assert code == 2
    assert output.startswith(line)
    assert output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_race_writes_results_and_pictures_and_resumes(tmp_path):
    asked = ["--data", "digits", "--only", "plain", "--only", "paper", "--width", 2, "--seeds", 1, "--looks", 2]
    asked += ["--minutes", 0.01, "--samples", 70, "--folder", tmp_path]
    code, output = ended(*asked)
    assert code == 0
    assert "Fréchet distance: seconds to" in output
    place = tmp_path / "digits-8"
    written = json.loads((place / "race.json").read_text())
    assert list(written["contenders"]) == ["ebmkit, paper, fp32", "plain loop"]
    assert len(written["contenders"]["plain loop"]["0"]["moments"]) >= 1
    assert {"race.png", "real.png", "plain.png", "paper.png"} <= {path.name for path in place.iterdir()}
    again, output = ended(*asked)
    assert again == 0
    assert "updates" not in output.split("|")[0].split("plain loop:")[1]
    assert json.loads((place / "race.json").read_text()) == written
    code, output = ended(*asked, "--threads", 2)
    assert code == 2
    assert "has threads=1, not 2: give that, or another --folder" in output
