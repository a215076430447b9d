"""Measures: against their definitions as they are written, against torchmetrics, and on sets whose answer is known."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ebmkit.data.handwritten import digits
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.evaluation import kernels
from ebmkit.evaluation import rows as rows_module
from ebmkit.evaluation.frechet import MeanAndCovariance, frechet_distance, frechet_note
from ebmkit.evaluation.kernels import diversity, energy_distance, kernel_distance, mmd
from ebmkit.evaluation.neighbours import precision_recall
from ebmkit.evaluation.rows import mean_over_pairs
from ebmkit.evaluation.scores import inception_score, reconstruction_error


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d=4, seed=0):
    return torch.randn(n, d, generator=rng(seed), dtype=torch.float64)


def kid(real, fake):
    return kernel_distance(real, fake, rng())


def halves():
    examples = Examples(digits())
    return examples.fetch(torch.randperm(len(examples), generator=rng())[:1796]).chunk(2)


PAIRED = [frechet_distance, kid, mmd, energy_distance, diversity, precision_recall]
every_pair = pytest.mark.parametrize("metric", PAIRED, ids=lambda metric: metric.__name__)


class Identity(nn.Module):
    """Features for torchmetrics: what it is given."""

    num_features = 8

    def forward(self, x):
        return x


# Fréchet distance


def test_moments_in_pieces_are_those_of_the_whole():
    x = 3 + normal(60, 5) * torch.arange(1.0, 6.0)
    pieces = MeanAndCovariance(5)
    for piece in x.tensor_split([1, 1, 20]):
        pieces.merge(MeanAndCovariance.of(piece)) if len(piece) else pieces.merge(MeanAndCovariance(5))
    updated = MeanAndCovariance(5)
    updated.update(x[:13])
    updated.update(x[13:])
    for moments in (pieces, updated):
        assert moments.n == 60
        torch.testing.assert_close(moments.mean, x.mean(0))
        torch.testing.assert_close(moments.covariance, torch.cov(x.T))


def test_moments_far_from_the_origin_keep_their_digits():
    x = normal(200, 3)
    far = MeanAndCovariance(3)
    for piece in (x + 1e6).split(20):
        far.update(piece)
    torch.testing.assert_close(far.covariance, torch.cov(x.T), rtol=1e-8, atol=1e-8)


def test_the_frechet_distance_of_a_scaled_and_moved_set_is_the_known_one():
    x, move = normal(50, 6) @ normal(6, 6, 1), normal(1, 6, 2)
    found = frechet_distance(x, 1.5 * x + move)
    step = (0.5 * x.mean(0) + move[0]).square().sum()
    assert found == pytest.approx(float(step + 0.25 * torch.cov(x.T).trace()), rel=1e-10)


def test_the_frechet_distance_is_symmetric_and_that_of_a_set_from_itself_is_nothing():
    x, y = normal(50, 6), normal(70, 6, 1) @ normal(6, 6, 2)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert 0 <= frechet_distance(x, x) < 1e-10
    assert frechet_distance(MeanAndCovariance.of(x), MeanAndCovariance.of(y)) == frechet_distance(x, y)


def test_the_frechet_distance_is_that_of_the_matrix_root():
    linalg = pytest.importorskip("scipy.linalg")
    x, y = normal(50, 6) @ normal(6, 6, 1), normal(50, 6, 2) @ normal(6, 6, 3)
    a, b = torch.cov(x.T), torch.cov(y.T)
    root = torch.as_tensor(linalg.sqrtm((a @ b).numpy()).real)
    expected = (x.mean(0) - y.mean(0)).square().sum() + (a + b - 2 * root).trace()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)


def test_constant_features_do_not_break_the_frechet_distance():
    x, y = normal(50, 3), normal(50, 3, 1)
    still = torch.full((50, 2), 0.1, dtype=torch.float64)
    found = frechet_distance(torch.cat([x, still], 1), torch.cat([y, still], 1))
    assert found == pytest.approx(frechet_distance(x, y), rel=1e-6)


def test_too_few_rows_for_a_covariance_are_refused_and_one_more_is_not():
    with pytest.raises(UsageError, match=r"^6 rows are too few for the covariance of 6 features: give at least 7"):
        frechet_distance(normal(6, 6), normal(50, 6))
    assert math.isfinite(frechet_distance(normal(7, 6), normal(50, 6)))


def test_few_rows_have_a_note_and_many_have_none():
    assert frechet_note(24, 6) == ""
    assert (
        frechet_note(23, 6) == "n=23 is close to the number of features, 6: strongly biased upwards; use n of at least 24"
    )


# Kernels


def plain_kernel_distance(real, fake, kernel):
    """The unbiased estimate, pair by pair."""
    n, m = len(real), len(fake)
    within = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return float(within + other - 2 * sum(kernel(a, b) for a in real for b in fake) / (n * m))


def test_the_kernel_distance_is_the_mean_over_disjoint_subsets_as_it_is_written():
    real, fake = normal(13, 3) + 1, normal(9, 3, 1)
    found = kernel_distance(real, fake, rng(5), subsets=2)
    draw = rng(5)
    parts = [x[torch.randperm(len(x), generator=draw)].tensor_split(2) for x in (real, fake)]
    each = [plain_kernel_distance(a, b, lambda s, t: (s @ t / 3 + 1) ** 3) for a, b in zip(*parts, strict=True)]
    assert found.value == pytest.approx(sum(each) / 2, rel=1e-9)
    assert found.error == pytest.approx(abs(each[0] - each[1]) / 2, rel=1e-9)


def test_mmd_and_energy_distance_are_the_sums_as_they_are_written():
    real, fake = normal(9, 3), 1 + normal(7, 3, 1)
    width = torch.pdist(real).square().median()
    expected = plain_kernel_distance(real, fake, lambda s, t: torch.exp(-(s - t).square().sum() / (2 * width)))
    assert mmd(real, fake) == pytest.approx(expected, rel=1e-9)
    expected = plain_kernel_distance(real, fake, lambda s, t: -(s - t).norm())
    assert energy_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_the_width_of_mmd_is_of_the_real_examples_alone():
    real, fake = normal(9, 3), normal(7, 3, 1)
    assert mmd(real, fake) != pytest.approx(mmd(fake, real), rel=1e-3)


def z_of_equal_laws(metric):
    """z of the claim that the mean of a metric over pairs of sets of one law is 0."""
    found = torch.tensor([metric(normal(40, 3, 2 * seed), normal(40, 3, 2 * seed + 1)) for seed in range(120)])
    return float(found.mean() / (found.std() / math.sqrt(len(found))))


UNBIASED = {"kid": lambda real, fake: kid(real, fake).value, "mmd": mmd, "energy": energy_distance}
every_unbiased = pytest.mark.parametrize("metric", UNBIASED.values(), ids=UNBIASED)


@every_unbiased
def test_distances_of_one_law_are_0_on_average(metric):
    assert abs(z_of_equal_laws(metric)) < 5


@every_unbiased
def test_the_test_catches_a_diagonal_that_counts(metric, monkeypatch):
    biased = lambda blocks, n, m, diagonal=None: mean_over_pairs(blocks, n, m)  # noqa: E731
    monkeypatch.setattr(kernels, "mean_over_pairs", biased)
    assert z_of_equal_laws(metric) > 5


def test_the_error_of_the_kernel_distance_is_as_large_as_its_errors_are():
    found = [kid(normal(200, 3, 2 * seed), normal(200, 3, 2 * seed + 1)) for seed in range(100)]
    z = torch.tensor([one.value / one.error for one in found])
    # The square of Student's t of nine degrees of freedom has mean 9/7 and variance 2 * 9² * 8 / (7² * 5).
    off = (z.square().mean() - 9 / 7) / math.sqrt(2 * 81 * 8 / (49 * 5) / 100)
    assert abs(off) < 5
    assert abs((4 * z.square().mean() - 9 / 7) / math.sqrt(2 * 81 * 8 / (49 * 5) / 100)) > 5


def test_the_kernel_distance_of_two_halves_of_digits_covers_0_and_that_of_noise_does_not():
    first, second = halves()
    same = kid(first, second)
    assert abs(same.value / same.error) < 5
    mirrored = kid(first, second.flip(3))
    assert mirrored.value / mirrored.error > 5


@pytest.mark.parametrize("metric", [*UNBIASED.values(), diversity, precision_recall])
def test_chunks_change_nothing(metric, monkeypatch):
    real, fake = normal(40), normal(50, seed=1)
    whole = metric(real, fake)
    for module in (rows_module, kernels):
        monkeypatch.setattr(module, "CHUNK", 7)
    assert metric(real, fake) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("metric", [mmd, energy_distance, diversity, precision_recall, frechet_distance])
def test_where_the_origin_is_does_not_matter(metric):
    real, fake = normal(40), 2 * normal(50, seed=1)
    assert metric(real + 1e6, fake + 1e6) == pytest.approx(metric(real, fake), rel=1e-6)


def test_real_examples_that_do_not_differ_have_no_scale():
    same = torch.ones(10, 2)
    with pytest.raises(UsageError, match=r"^more than half of the real examples are the same"):
        mmd(same, normal(10, 2))
    with pytest.raises(UsageError, match=r"^all real examples are the same"):
        diversity(same, normal(10, 2))


def test_the_median_of_many_examples_is_that_of_a_thousand_of_them():
    real, fake = normal(2500, 2), normal(100, 2, 1) + 1
    width = torch.pdist(real[::3]).square().median()
    near = lambda a, b: torch.exp(-torch.cdist(a, b).square() / (2 * width)).sum()  # noqa: E731
    expected = (near(real, real) - 2500) / (2500 * 2499) + (near(fake, fake) - 100) / 9900 - near(real, fake) / 125_000
    assert mmd(real, fake) == pytest.approx(float(expected), rel=1e-6)


# Precision and recall


def test_precision_and_recall_are_those_of_the_definition():
    real, fake = normal(60, 2), 0.7 * normal(50, 2, 1) + 0.5

    def covered(centres, x):
        radii = [sorted(float((c - o).norm()) for o in centres)[2] for c in centres]
        return sum(any((p - c).norm() <= r for c, r in zip(centres, radii, strict=True)) for p in x) / len(x)

    found = precision_recall(real, fake, neighbours=2)
    assert found == pytest.approx((covered(real, fake), covered(fake, real)))
    assert 0 < found.precision < found.recall < 1
    assert found != precision_recall(real, fake, neighbours=3)


def test_a_set_has_the_precision_and_recall_of_itself_also_where_examples_repeat():
    x = 5 + normal(30, 20)
    assert precision_recall(x, x) == (1, 1)
    repeated = x.repeat(5, 1)
    assert precision_recall(repeated, repeated) == (1, 1)
    assert precision_recall(repeated, repeated + 0.01) == (0, 0)


def test_sets_apart_have_neither_and_a_collapsed_one_is_precise_but_recalls_nothing():
    x = normal(100, 3)
    assert precision_recall(x, x + 100) == (0, 0)
    collapsed = x[:1] + 1e-3 * normal(100, 3, 1)
    assert precision_recall(x, collapsed).precision == 1
    assert precision_recall(x, collapsed).recall < 0.05


# Scores


def test_the_inception_score_is_the_number_of_classes_at_best_and_1_at_worst():
    assert inception_score(torch.eye(10).repeat(3, 1)) == pytest.approx(10)
    assert inception_score(torch.eye(10)[[4] * 30]) == pytest.approx(1)
    assert inception_score(torch.full((30, 10), 0.1)) == pytest.approx(1)


@pytest.mark.parametrize("bad", [torch.full((4, 3), 0.5), torch.tensor([[1.5, -0.5]])], ids=["sum", "negative"])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(UsageError, match=r"^probabilities must not be negative and each row must sum to 1; pass softmax"):
        inception_score(bad)


def test_the_reconstruction_error_is_the_mean_square_of_a_pixel():
    x = torch.zeros(2, 1, 2, 2)
    y = x.clone()
    y[0, 0, 0, 0] = 2
    assert reconstruction_error(x, y) == 0.5
    assert reconstruction_error(x, x) == 0
    with pytest.raises(UsageError, match=r"^x has shape \(2, 1, 2, 2\) and its reconstruction \(2, 4\); expected the same$"):
        reconstruction_error(x, y.flatten(1))


def test_diversity_is_1_for_the_data_and_scales_with_the_samples():
    x = normal(50, 4).reshape(50, 1, 2, 2)
    assert diversity(x, x) == pytest.approx(1)
    assert diversity(x, 3 * x + 7) == pytest.approx(3)
    assert diversity(x, x[:1].expand(50, 1, 2, 2)) == 0


# What cannot be measured


@every_pair
@pytest.mark.parametrize("hole", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused_and_counted(metric, hole):
    x = normal(40)
    x[3, 0] = x[3, 1] = x[8, 2] = hole
    with pytest.raises(UsageError, match=r"^2 of 40 in fake contain NaN or infinity; expected finite values$"):
        metric(normal(40), x)
    with pytest.raises(UsageError, match=r"^2 of 40 in real contain"):
        metric(x, normal(40))


def test_scores_refuse_numbers_that_are_not_finite():
    x = torch.full((4, 2), 0.5)
    x[1, 1] = math.nan
    with pytest.raises(UsageError, match=r"^1 of 4 in probabilities contain NaN"):
        inception_score(x)
    with pytest.raises(UsageError, match=r"^1 of 4 in reconstruction contain NaN"):
        reconstruction_error(torch.zeros(4, 2), x)


@every_pair
def test_sets_of_two_widths_are_refused(metric):
    with pytest.raises(UsageError, match=r"^real has 4 .* and fake 3; expected the same number$"):
        metric(normal(40), normal(40, 3))


@every_pair
def test_too_few_are_refused_in_one_line(metric):
    with pytest.raises(UsageError) as refused:
        metric(normal(1), normal(1))
    assert "\n" not in str(refused.value)


def test_what_has_no_rows_is_refused():
    for bad in (torch.zeros(5), torch.zeros(5, 0), torch.zeros(0, 3)):
        with pytest.raises(UsageError, match=r"real"):
            energy_distance(bad, normal(5, 3))


@every_pair
def test_single_precision_and_graphs_are_taken(metric):
    real, fake = normal(40).float(), normal(40, seed=1).float()
    assert metric(real.requires_grad_(), fake) == metric(real.detach().double(), fake.double())


# torchmetrics


@pytest.fixture
def image():
    pytest.importorskip("torchmetrics", exc_type=ImportError)
    from torchmetrics.image import fid, inception, kid

    return SimpleNamespace(fid=fid, inception=inception, kid=kid)


def fed(metric, real, fake):
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute()


def test_torchmetrics_agrees_on_the_frechet_distance(image):
    real, fake = normal(300, 8), 1.2 * normal(200, 8, 1) + 0.1
    expected = fed(image.fid.FrechetInceptionDistance(feature=Identity()), real, fake)
    assert frechet_distance(real, fake) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.filterwarnings("ignore:Metric .Kernel Inception Distance. will save")
def test_torchmetrics_agrees_on_the_kernel_distance(image):
    real, fake = normal(40, 8), 1.2 * normal(40, 8, 1) + 0.1
    found = kernel_distance(real, fake, rng(3), subsets=4)
    draw = rng(3)
    parts = [x[torch.randperm(40, generator=draw)].tensor_split(4) for x in (real, fake)]
    kids = [image.kid.KernelInceptionDistance(feature=Identity(), subsets=1, subset_size=10) for _ in range(4)]
    each = [float(fed(kid, a, b)[0]) for kid, a, b in zip(kids, *parts, strict=True)]
    assert found.value == pytest.approx(sum(each) / 4, rel=1e-3)


@pytest.mark.filterwarnings("ignore:Metric .InceptionScore. will save", "ignore:std.*degrees of freedom")
def test_torchmetrics_agrees_on_the_inception_score(image):
    logits = 2 * normal(100, 8)
    metric = image.inception.InceptionScore(feature=Identity(), splits=1)
    metric.update(logits)
    assert inception_score(logits.softmax(1)) == pytest.approx(float(metric.compute()[0]), rel=1e-3)
