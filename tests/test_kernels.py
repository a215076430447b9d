"""Kernel distance, MMD and energy distance: against their definitions, and unbiased."""

import math

import pytest
import torch
from random_sets import kid, normal, rng

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.evaluation import kernels
from ebmkit.evaluation.kernels import diversity, energy_distance, kernel_distance, mmd
from ebmkit.evaluation.rows import mean_over_pairs


def halves():
    examples = Examples(digits())
    return examples.fetch(torch.randperm(len(examples), generator=rng())[:1796]).chunk(2)


def plain_kernel_distance(real, fake, kernel):
    """The unbiased estimate, pair by pair."""
    n, m = len(real), len(fake)
    within = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return float(within + other - 2 * sum(kernel(a, b) for a in real for b in fake) / (n * m))


def test_kernel_distance_is_the_mean_over_disjoint_subsets():
    real, fake = normal(13, 3) + 1, normal(9, 3, 1)
    found = kernel_distance(real, fake, rng(5), subsets=2)
    draw = rng(5)
    parts = [x[torch.randperm(len(x), generator=draw)].tensor_split(2) for x in (real, fake)]
    each = [plain_kernel_distance(a, b, lambda s, t: (s @ t / 3 + 1) ** 3) for a, b in zip(*parts, strict=True)]
    assert found.value == pytest.approx(sum(each) / 2, rel=1e-9)
    assert found.error == pytest.approx(abs(each[0] - each[1]) / 2, rel=1e-9)


def test_mmd_and_energy_distance_equal_their_definitions():
    real, fake = normal(9, 3), 1 + normal(7, 3, 1)
    width = torch.pdist(real).square().median()
    expected = plain_kernel_distance(real, fake, lambda s, t: torch.exp(-(s - t).square().sum() / (2 * width)))
    assert mmd(real, fake) == pytest.approx(expected, rel=1e-9)
    expected = plain_kernel_distance(real, fake, lambda s, t: -(s - t).norm())
    assert energy_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_the_width_of_mmd_depends_only_on_real_examples():
    real, fake = normal(9, 3), normal(7, 3, 1)
    assert mmd(real, fake) != pytest.approx(mmd(fake, real), rel=1e-3)


def z_of_equal_distributions(metric):
    """z of the claim that a metric is 0 on average for two sets of one distribution."""
    found = torch.tensor([metric(normal(40, 3, 2 * seed), normal(40, 3, 2 * seed + 1)) for seed in range(120)])
    return float(found.mean() / (found.std() / math.sqrt(len(found))))


UNBIASED = {"kid": lambda real, fake: kid(real, fake).value, "mmd": mmd, "energy": energy_distance}
every_unbiased = pytest.mark.parametrize("metric", UNBIASED.values(), ids=UNBIASED)


@every_unbiased
def test_equal_distributions_have_distance_0_on_average(metric):
    assert abs(z_of_equal_distributions(metric)) < 5


@every_unbiased
def test_the_bias_of_a_counted_diagonal_is_detected(metric, monkeypatch):
    biased = lambda blocks, n, m, diagonal=None: mean_over_pairs(blocks, n, m)  # noqa: E731
    monkeypatch.setattr(kernels, "mean_over_pairs", biased)
    assert z_of_equal_distributions(metric) > 5


def test_standard_error_of_the_kernel_distance_is_valid():
    found = [kid(normal(200, 3, 2 * seed), normal(200, 3, 2 * seed + 1)) for seed in range(100)]
    z = torch.tensor([one.value / one.error for one in found])
    # The square of Student's t of nine degrees of freedom has mean 9/7 and variance 2 * 9² * 8 / (7² * 5).
    off = (z.square().mean() - 9 / 7) / math.sqrt(2 * 81 * 8 / (49 * 5) / 100)
    assert abs(off) < 5
    assert abs((4 * z.square().mean() - 9 / 7) / math.sqrt(2 * 81 * 8 / (49 * 5) / 100)) > 5


def test_halves_of_digits_agree_and_mirrored_ones_do_not():
    first, second = halves()
    same = kid(first, second)
    assert abs(same.value / same.error) < 5
    mirrored = kid(first, second.flip(3))
    assert mirrored.value / mirrored.error > 5


def test_identical_real_examples_are_refused():
    same = torch.ones(10, 2)
    with pytest.raises(UsageError, match=r"^more than half of the real examples are the same"):
        mmd(same, normal(10, 2))
    with pytest.raises(UsageError, match=r"^all real examples are the same"):
        diversity(same, normal(10, 2))


def test_the_median_is_estimated_from_a_thousand_examples():
    real, fake = normal(2500, 2), normal(100, 2, 1) + 1
    width = torch.pdist(real[::3]).square().median()
    near = lambda a, b: torch.exp(-torch.cdist(a, b).square() / (2 * width)).sum()  # noqa: E731
    expected = (near(real, real) - 2500) / (2500 * 2499) + (near(fake, fake) - 100) / 9900 - near(real, fake) / 125_000
    assert mmd(real, fake) == pytest.approx(float(expected), rel=1e-6)


def test_diversity_is_1_for_data_and_scales_with_samples():
    x = normal(50, 4).reshape(50, 1, 2, 2)
    assert diversity(x, x) == pytest.approx(1)
    assert diversity(x, 3 * x + 7) == pytest.approx(3)
    assert diversity(x, x[:1].expand(50, 1, 2, 2)) == 0
