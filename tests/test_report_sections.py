"""The sections of a report: what they show, and when they are omitted."""

import math
import re

import numpy as np
import pytest
import torch
from report_pages import SHAPE, examples, model, page, prepared, rng

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.energies.mlp import MLP
from ebmkit.evaluation.nearest import nearest_examples
from ebmkit.inits.uniform import Uniform
from ebmkit.pictures import grid
from ebmkit.report import figures
from ebmkit.report.context import random_examples
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page(prepared(tmp_path_factory.mktemp("runs") / "a"), scores={"fid": 12.345678, "judged": "good"})


@pytest.fixture
def no_plots(monkeypatch):
    """No plots, which take most of the time of a page."""
    monkeypatch.setattr(figures, "plot", lambda draw, **texts: "<svg></svg>")


def test_samples_are_shown_beside_real_examples(whole):
    (real_alt, real), (alt, fake) = whole.pictures("Samples beside real examples")
    short, rng_ = model(), rng()
    expected = torch.cat([short.sampler.sample(short.energy, short.init.sample(4, rng_), rng_) for _ in range(2)])
    assert np.array_equal(fake, np.asarray(grid(expected, 8)))
    assert np.array_equal(real, np.asarray(grid(random_examples(examples(), 8), 8)))
    assert "Real" in real_alt
    assert "Samples" in alt


def test_the_strip_shows_the_same_chains_from_start_to_end(whole):
    shown = whole.pictures("From noise to image")
    assert [alt.partition(":")[0] for alt, _ in shown] == ["k=0", "k=2", "k=4", "k=6", "k=8"]
    kept = model().trajectory(3, rng(), at=(0, 8))
    assert np.array_equal(shown[0][1], np.asarray(grid(kept[0], 1)))
    assert np.array_equal(shown[-1][1], np.asarray(grid(kept[8], 1)))


def test_nearest_examples_are_shown_beside_their_samples(whole):
    shown = whole.pictures("Nearest training examples")
    x = model().sample(8, rng(), batch=4)[:3]
    near = nearest_examples(x, examples(), count=4)
    expected = [x, *(examples().fetch(near.indices[:, n]) for n in range(4))]
    assert all(np.array_equal(a[1], np.asarray(grid(b, 1))) for a, b in zip(shown, expected, strict=True))
    own = nearest_examples(examples().fetch(torch.arange(50)), examples(), count=2).distance[:, 1]
    said = re.search(
        r"to the nearest example: ([\d.]+); .*nearest other one: ([\d.]+)\.",
        whole.sections["Nearest training examples"],
    )
    assert float(said[1]) == pytest.approx(float(near.distance[:, 0].median()), rel=0.01)
    assert own.min() - 0.01 < float(said[2]) < own.max() + 0.01


@pytest.mark.usefixtures("no_plots")
def test_held_out_examples_are_reconstructed_if_given(tmp_path):
    other = examples(seed=3)
    found = page(prepared(tmp_path / "a"), held_out=other)
    assert np.array_equal(found.pictures("Reconstruction")[0][1], np.asarray(grid(random_examples(other, 3), 1)))
    assert "given held-out example" in found.sections["Reconstruction"]


def test_reconstructions_are_shown_from_first_to_last(whole):
    assert [alt.partition(":")[0] for alt, _ in whole.pictures("Reconstruction")] == ["given", "t=0", "t=3"]
    assert np.array_equal(whole.pictures("Reconstruction")[0][1], np.asarray(grid(random_examples(examples(), 3), 1)))
    found = model().reconstruct(random_examples(examples(), 3), rng(), updates=3)
    assert f"after 3 updates: {float(found.error[-1].mean()):.4g}, at first" in whole.sections["Reconstruction"]
    assert "given training example" in whole.sections["Reconstruction"]


def test_an_interpolation_goes_from_start_to_start(whole):
    short, rng_ = model(), rng()
    z1, z2 = short.init.sample(3, rng_), short.init.sample(3, rng_)
    ways = short.interpolate(z1, z2, 8)
    ((_, shown),) = whole.pictures("Interpolation")
    rows = torch.cat([ways[:, row] for row in range(3)])
    assert np.array_equal(shown, np.asarray(grid(rows, 8)))


def test_long_chains_are_shown_at_multiples_of_k(whole):
    assert [alt.partition(":")[0] for alt, _ in whole.pictures("Long chains")] == ["k=0", "k=8", "k=16", "k=40", "k=80"]
    assert "The model is the chain at K = 8; here it continues to 80" in whole.sections["Long chains"]
    assert "split R-hat" in whole.sections["Long chains"]


def test_measures_settings_and_versions_are_listed(whole):
    rows = re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', whole.text)
    assert rows == [("fid", "12.346"), ("judged", "good"), ("torch", "9.8.7")]
    assert 'use = "mlp"' in whole.sections["Configuration"]
    assert '"command"' in whole.sections["Provenance"]


@pytest.mark.usefixtures("no_plots")
def test_sections_without_files_are_omitted_with_a_reason(tmp_path):
    reasons = page(tmp_path).omitted
    assert set(reasons) == {"Measures", "Training", "Configuration", "Provenance"}
    assert "metrics.jsonl: No such file" in reasons["Training"]
    assert reasons["Configuration"] == "Omitted. config.toml cannot be read: No such file or directory."
    assert "env.json" in reasons["Provenance"]
    assert "No evaluation measures were passed" in reasons["Measures"]


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"versions": 3}'])
@pytest.mark.usefixtures("no_plots")
def test_damaged_provenance_is_omitted(tmp_path, text):
    place = prepared(tmp_path / "a")
    (place / "env.json").write_text(text)
    assert "env.json has no versions" in page(place, full=False).omitted["Provenance"]


@pytest.mark.usefixtures("no_plots")
def test_points_are_drawn_only_as_clouds(tmp_path):
    found = page(prepared(tmp_path / "a"), model((2,)), examples((2,)), batch=256, scores={"x": 1})
    assert set(found.omitted) == {"Nearest training examples", "Reconstruction", "Interpolation"}
    assert "are shown for images" in found.omitted["Interpolation"]
    (_, real), (alt, fake) = found.pictures("Samples beside real examples")
    assert real.shape == fake.shape == (288, 288, 3)
    assert "512 examples" in alt
    assert len(found.pictures("From noise to image")) == 5


@pytest.mark.usefixtures("no_plots")
def test_examples_that_cannot_be_drawn_still_have_plots(tmp_path):
    found = page(prepared(tmp_path / "a"), model((5,)), examples((5,)), scores={"x": 1})
    titles = "Samples beside real examples, From noise to image, Nearest training examples, Reconstruction, "
    assert set(found.omitted) == set((titles + "Interpolation, Long chains").split(", "))
    assert not found.all("img")
    assert len(found.all("svg")) > 5


@pytest.mark.usefixtures("no_plots")
def test_an_energy_without_layers_has_no_moment_matching(tmp_path):
    short = ShortRun(lambda x: x.square().flatten(1).sum(1), Langevin(steps=3), Uniform(SHAPE))
    left = page(prepared(tmp_path / "a"), short, scores={"x": 1}).omitted
    assert set(left) == {"Moment matching"}
    assert "has no features" in left["Moment matching"]
    rounded = ShortRun(Accelerated(MLP(SHAPE, width=4), precision="bf16"), Langevin(steps=3), Uniform(SHAPE))
    assert not page(tmp_path / "a", rounded, scores={"x": 1}).omitted


@pytest.mark.filterwarnings("error")
def test_a_model_that_has_diverged_still_has_a_report(tmp_path):
    short = model()
    with torch.no_grad():
        short.energy.layers[0].weight.fill_(math.nan)
    place = prepared(tmp_path / "a")
    (place / "metrics.jsonl").write_text('{"update": 1, "gap": 1}\n{"update": 2, "gap": null, "real_energy": null}\n')
    left = page(place, short, scores={"x": 1}).omitted
    assert "has diverged" in left["Energies"]
    assert "Training" not in left
