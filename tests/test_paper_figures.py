"""The scripts of examples/paper: each draws its figures and writes its numbers, here from very small models."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from studies import finished

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "paper"))
densities = pytest.importorskip("densities", reason="examples/ is not beside the tests")
generator = pytest.importorskip("generator", reason="examples/ is not beside the tests")
gradients = pytest.importorskip("gradients", reason="examples/ is not beside the tests")
long_run = pytest.importorskip("long_run", reason="examples/ is not beside the tests")
moments = pytest.importorskip("moments", reason="examples/ is not beside the tests")
import torch  # noqa: E402


def written(folder, *pictures):
    for name in pictures:
        with Image.open(folder / name) as picture:
            assert picture.width > 100
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert found["updates"] >= 1
    assert found["hardware"]
    return found["values"]


@pytest.fixture
def coarse(monkeypatch):
    monkeypatch.setattr(densities, "CELLS", 30)
    monkeypatch.setattr(densities, "SAMPLES", 100)


@pytest.mark.usefixtures("coarse")
def test_the_densities_of_the_plane_are_drawn_and_compared(empty_folder):
    densities.main(empty_folder / "out", "anatomy-gaussians", 1)
    values = written(empty_folder / "out", "densities.png")
    assert all(0 <= value <= 1 for name, value in values.items() if name.startswith("total variation"))


@pytest.mark.usefixtures("coarse")
def test_the_kernel_estimate_is_a_density_around_the_points():
    cells = densities.grid()
    assert cells[0].tolist() == pytest.approx([-1.74, 1.74])
    p = densities.kernel_estimate(torch.tensor([[0.5, -0.5]]), cells)
    assert float(p.sum()) == pytest.approx(1)
    assert (p[:, None] * cells).sum(0).tolist() == pytest.approx([0.5, -0.5], abs=0.01)
    variance = float((p[:, None] * (cells - torch.tensor([0.5, -0.5])).square()).sum(0)[0])
    assert variance == pytest.approx(densities.BANDWIDTH**2, rel=0.05)
    assert densities.distance(p, p) == 0
    assert densities.area(torch.eye(1, 900)[0]) == pytest.approx(0.12**2, abs=1e-4)


def test_long_chains_are_drawn_and_their_saturation_measured(models):
    long_run.main(models / "digits", models / "out", 4)
    values = written(models / "out", "chains.png", "long-run.png")
    assert values["mean distance outside [-1, 1] after K = 3 steps"] >= 0
    assert long_run.saturation(torch.tensor([0.5, -1.5, 3.0, 1.0])) == pytest.approx(2.5 / 4)


def test_the_chain_as_a_generator_is_drawn(models, monkeypatch):
    monkeypatch.setattr(generator, "UPDATES", 2)
    monkeypatch.setattr(generator, "AT", (0, 2))
    generator.main(models / "digits", models / "out")
    values = written(models / "out", "transition.png", "interpolation.png", "reconstruction.png", "error.png")
    error = values["squared error per pixel after 2 updates, scale [-1, 1]"]
    assert values["squared error per pixel after 2 updates, scale [0, 1]"] == pytest.approx(error / 4, abs=1e-4)


def test_the_means_of_features_are_compared(models):
    moments.main(models / "digits", models / "out")
    values = written(models / "out", "moments.png")
    assert values["|E[h] - E_data[h]| / |E_data[h]|, samples"] > 0


def test_the_norms_of_the_gradient_are_measured_in_every_cell(empty_folder):
    study, results = finished("small")
    gradients.main(study.folder)
    found = json.loads((study.folder / "gradients.json").read_text(encoding="utf-8"))
    assert list(found) == [result.cell for result in results]
    assert all(value > 0 for value in found.values())
