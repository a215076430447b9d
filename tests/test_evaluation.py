"""Evaluation: every value with its scale, under the right name, of the right examples."""

import json
import math

import pytest
import torch

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.evaluation.frechet import frechet_distance
from ebmkit.evaluation.kernels import diversity, energy_distance, kernel_distance, mmd
from ebmkit.evaluation.measures import Measure, as_rows, evaluate, extract_features, measure_name
from ebmkit.evaluation.neighbours import precision_recall
from ebmkit.evaluation.scores import inception_score
from ebmkit.features.digits import Digits
from ebmkit.features.pixels import Pixels

N = 100


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def points(n, seed):
    return torch.randn(n, 3, generator=rng(seed))


def wide_points(n):
    return torch.randn(n, 40, generator=rng(n))


class Doubled:
    """Features of a classifier, which record the sizes of their inputs."""

    def __init__(self, name="doubled", d=3):
        self.name, self.d, self.preprocessing = name, d, "twice"
        self.sizes = []

    def __call__(self, x):
        self.sizes.append(len(x))
        return 2 * x[:, : self.d]

    def probabilities(self, x):
        return x.softmax(1)


@pytest.fixture
def data():
    return Examples(points(250, 0))


def measured(data, features=None, sample=lambda n: 0.5 * points(n, 1), noise=lambda n: 3 * points(n, 2), **settings):
    found = evaluate(sample, noise, data, features or Doubled(), **({"n": N, "seed": 4} | settings))
    return {measure.name: measure for measure in found}


def test_every_value_is_that_of_its_metric_and_has_a_scale(data):
    found = measured(data)
    order = torch.randperm(250, generator=rng(4))
    reference, real = data.fetch(order[:N]), data.fetch(order[N : 2 * N])
    sets = (0.5 * points(N, 1), real, 3 * points(N, 2))
    metrics = {
        "Fréchet distance (features=doubled)": lambda x: frechet_distance(2 * reference, 2 * x),
        "Kernel distance (features=doubled)": lambda x: kernel_distance(2 * reference, 2 * x, rng(4)).value,
        "Precision (features=doubled)": lambda x: precision_recall(reference, x).precision,
        "Recall (features=doubled)": lambda x: precision_recall(reference, x).recall,
        "Classifier score (features=doubled)": lambda x: inception_score(x.softmax(1)),
        "MMD² (features=pixels)": lambda x: mmd(reference, x),
        "Energy distance (features=pixels)": lambda x: energy_distance(reference, x),
        "Diversity (features=pixels)": lambda x: diversity(reference, x),
    }
    assert list(found) == list(metrics)
    for name, metric in metrics.items():
        one = found[name]
        assert (one.value, one.real_against_real, one.noise_against_real) == pytest.approx([metric(x) for x in sets])
        assert (one.n, one.seed) == (N, 4)
        on_pixels = "pixels" in name
        assert (one.features, one.preprocessing) == (("pixels", "none") if on_pixels else ("doubled", "twice"))
        assert (one.error is not None) == name.startswith("Kernel")
    expected = kernel_distance(2 * reference, 2 * sets[0], rng(4)).error
    assert found["Kernel distance (features=doubled)"].error == pytest.approx(expected)


def test_only_classifiers_have_a_classifier_score(data):
    assert "Classifier score (features=pixels)" not in measured(data, Pixels(data))
    assert len(measured(data, Pixels(data))) == 7


def test_only_the_inception_features_give_an_fid(data):
    names = set(measured(data, Doubled("inception")))
    assert {"FID", "KID", "Inception score", "Precision (features=inception)"} <= names
    assert not {"FID", "KID", "Inception score"} & set(measured(data))
    for features in ("torchscript inception", "torchscript inception.pt", "digits", "Inception"):
        assert measure_name("Fréchet distance", features) == f"Fréchet distance (features={features})"


def test_the_seed_chooses_the_halves_of_the_data(data):
    assert measured(data) == measured(data)
    one, other = (measured(data, seed=seed)["Energy distance (features=pixels)"] for seed in (0, 1))
    assert one.real_against_real != other.real_against_real


def test_all_of_the_data_can_be_used(data):
    assert measured(data, n=125)["Recall (features=doubled)"].n == 125


@pytest.mark.parametrize("n", [0, -1, 19, 126])
def test_n_out_of_range_is_refused_with_the_range(data, n):
    def never(_):
        raise AssertionError("samples were drawn before n was checked")

    with pytest.raises(UsageError) as refused:
        measured(data, sample=never, n=n)
    assert str(refused.value) == f"n must be from 20 to 125, half of the 250 examples, not {n}"


def test_too_little_data_is_refused():
    with pytest.raises(UsageError, match=r"^the data have 39 examples, but an evaluation needs at least 40$"):
        measured(Examples(points(39, 0)), n=20)
    assert measured(Examples(points(40, 0)), n=20)


def test_without_a_frechet_distance_the_rest_is_measured():
    data = Examples(wide_points(80))
    found = measured(data, Pixels(data), wide_points, wide_points, n=40)
    frechet = found["Fréchet distance (features=pixels)"]
    assert (frechet.value, frechet.real_against_real, frechet.noise_against_real) == (None, None, None)
    assert frechet.note == "n=40 is too few for 40 features; use n of at least 41, or features of fewer dimensions"
    assert all(one.value is not None for one in found.values() if one is not frechet)


def test_a_biased_frechet_distance_has_a_note(data):
    assert measured(data)["Fréchet distance (features=doubled)"].note == ""
    wide = Examples(wide_points(200))
    found = measured(wide, Pixels(wide), wide_points, wide_points)
    assert "strongly biased" in found["Fréchet distance (features=pixels)"].note


@pytest.mark.parametrize("which", ["sample", "noise"])
def test_nonfinite_samples_are_refused_and_counted(data, which):
    def broken(n):
        x = points(n, 1)
        x[3:5] = math.nan
        return x

    with pytest.raises(UsageError, match=rf"^2 of 100 in the {which}s? contain NaN or infinity"):
        measured(data, **{which: broken})


def test_samples_of_another_shape_are_refused(data):
    with pytest.raises(UsageError, match=r"^the samples have shape \(99, 3\), expected \(100, 3\) like the data$"):
        measured(data, sample=lambda n: points(n - 1, 1))


def test_features_are_computed_in_chunks_and_checked():
    features, x = Doubled(), points(150, 0)
    assert torch.equal(extract_features(features, x), 2 * x)
    assert features.sizes == [64, 64, 22]
    with pytest.raises(ValueError, match=r"^features doubled returned \(150, 3\), expected \(150, 4\)$"):
        extract_features(Doubled(d=4), x)


def test_graphs_of_samples_are_not_followed(data):
    found = measured(data, sample=lambda n: (0.5 * points(n, 1)).requires_grad_())
    assert found == measured(data)


def test_measures_become_rows_of_json(data):
    found = as_rows(list(measured(data).values()))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found[0]["name"] == "Fréchet distance (features=doubled)"
    assert set(found[0]) == set(Measure.__dataclass_fields__)
    broken = Measure("m", math.nan, None, math.inf, 1.0, 1, "f", 0, "none")
    (row,) = as_rows([broken])
    assert (row["value"], row["real_against_real"], row["noise_against_real"]) == (None, None, 1.0)


def test_every_distance_separates_digits_from_noise():
    data = Examples(digits())
    found = evaluate(
        lambda n: data.fetch(torch.randint(len(data), (n,), generator=rng(1))),
        lambda n: torch.rand(n, 1, 8, 8, generator=rng(2)) * 2 - 1,
        data,
        Digits(data),
        n=300,
    )
    for one in found:
        name = one.name.partition(" (")[0]
        if name in ("Fréchet distance", "Kernel distance", "MMD²", "Energy distance"):
            assert one.noise_against_real > 10 * max(abs(one.value), abs(one.real_against_real))
        if name in ("Precision", "Recall", "Classifier score"):
            assert one.noise_against_real < 0.5 * min(one.value, one.real_against_real)
