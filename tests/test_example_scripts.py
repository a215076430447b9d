"""Scripts of examples/ that measure: here of very small models and data."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import invoked
from matplotlib.figure import Figure
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "paper")]
classifier = pytest.importorskip("classifier", reason="examples/ is not beside the tests")
compare_methods = pytest.importorskip("compare_methods", reason="examples/ is not beside the tests")
curves_of_runs = pytest.importorskip("curves_of_runs", reason="examples/ is not beside the tests")
from ebmkit.data import Examples, arrays  # noqa: E402
from ebmkit.features.torchscript import TorchScript  # noqa: E402

QUICK = ["energy.width=2", "sampler.steps=2", "train.iterations=2", "train.schedule_from=1", "train.batch_size=8"]


def write_idx(path, array):
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.tobytes())


def test_a_classifier_of_labelled_images_is_written_as_features(tmp_path, capsys):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 11_000).astype(np.uint8)
    images = (25 * labels[:, None, None] + rng.integers(0, 5, (11_000, 8, 8))).astype(np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels)
    classifier.main(tmp_path, tmp_path / "classifier.pt", size=8, limit=10_500)
    accuracy = float(capsys.readouterr().out.split("held out: ")[1].split("%")[0])
    assert accuracy > 50  # chance is 10
    np.save(tmp_path / "some.npy", rng.uniform(-1, 1, (4, 1, 8, 8)).astype(np.float32))
    data = Examples(arrays(path=tmp_path / "some.npy"))
    features = TorchScript(data, path=tmp_path / "classifier.pt")
    assert features.d == classifier.D
    assert features(data.fetch(torch.arange(4))).shape == (4, classifier.D)


def test_methods_are_compared_and_what_is_done_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare_methods, "METHODS", {"digits-quick": (QUICK, {"short run": []})})
    monkeypatch.setattr(compare_methods, "N", 100)
    monkeypatch.setattr(compare_methods, "called", lambda *words: len(invoked(*words)[0]) and 1.5)  # in this process
    compare_methods.main(tmp_path / "runs", seeds=1)
    first = capsys.readouterr().out
    (row,) = [line for line in first.splitlines() if line.startswith("| short run |")]
    assert row.count("|") == 10
    monkeypatch.setattr(compare_methods, "called", lambda *words: pytest.fail("it is done already"))
    compare_methods.main(tmp_path / "runs", seeds=1)
    assert capsys.readouterr().out == first


def test_a_spread_is_shown_where_there_are_several_seeds():
    assert compare_methods.spread([2.0]) == "2"
    assert compare_methods.spread([1.0, 3.0]) == "2 ± 1.4"


def test_the_divergence_of_a_run_is_drawn_with_its_curve(tmp_path):
    lines = [{"update": update, "gap": 1.0, "gradient_norm": 2.0 * update, "displacement": 3.0} for update in (1, 2, 3)]
    lines.insert(1, {"event": "rollback", "update": 4, "to_update": 1, "lr": 0.1})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    axes = Figure().add_subplot()
    curves_of_runs.draw(axes, tmp_path, "gradient_norm", "C0")
    curve, divergence = axes.lines
    assert curve.get_xydata().tolist() == [[1, 2], [2, 4], [3, 6]]
    assert list(divergence.get_xdata()) == [4, 4]
    curves_of_runs.main([tmp_path], tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").width > 1000
