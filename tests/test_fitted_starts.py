"""Starts fitted to data: what is drawn from any data, and what the settings refuse. Their laws are in laws/."""

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.inits import chosen
from ebmkit.inits.chosen import ChosenExamples
from ebmkit.inits.covariances import Fourier, Full, LowRank
from ebmkit.inits.fitted import FittedGaussian
from ebmkit.testing.statistics import moments_z, z

N = 20_000
FORMS = ("full", "low_rank", "fourier")
every_form = pytest.mark.parametrize("form", FORMS)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=rng(1)) / 3


def fitted(x: Tensor, **settings: Any) -> FittedGaussian:
    return FittedGaussian(tuple(x.shape[1:]), Examples(x), **settings)


@pytest.mark.parametrize("shape", [(2,), (7,), (1, 4, 6), (3, 5, 4), (3, 4, 3)], ids=str)
@every_form
def test_starts_have_the_shape_of_the_examples(form, shape):
    if form == "fourier" and len(shape) == 1:
        shape = (1, 1, *shape)
    x = fitted(noise(50, *shape), covariance=form, rank=2).sample(9, rng())
    assert x.shape == (9, *shape)
    assert x.dtype == torch.float32
    assert bool(x.isfinite().all())


def test_points_in_the_plane_have_their_moments():
    points = noise(400, 2) @ torch.tensor([[1.0, 0.8], [0.0, 0.3]]) + torch.tensor([0.5, -1.0])
    x = fitted(points, ridge=0.0).sample(N, rng(2))
    flat = points.double()
    assert moments_z(x, flat.mean(0), torch.cov(flat.T)) < 5
    assert moments_z(x, flat.mean(0), 1.1 * torch.cov(flat.T)) > 5


@pytest.mark.parametrize("form", ["full", "low_rank"])
def test_constant_pixels_stay_constant_without_a_ridge(form):
    images = noise(40, 1, 4, 4)
    images[:, :, 0] = -1
    x = fitted(images, covariance=form, rank=16, ridge=0.0).sample(500, rng(3))
    assert (x[:, :, 0] + 1).abs().max() < 1e-4
    flat = images.double().flatten(1)
    assert z((x.flatten(1)[:, 4:] - flat.mean(0)[4:]).square(), flat.var(0)[4:]) < 5


def test_constant_pixels_get_only_the_ridge():
    images = noise(40, 1, 4, 4)
    images[:, :, 0] = -1
    border = fitted(images, ridge=0.04).sample(N, rng(4))[:, :, 0]
    assert z(border + 1, 0.0) < 5
    assert z((border + 1).square(), 0.04) < 5


@every_form
def test_fewer_examples_than_elements_span_the_starts(form):
    images = noise(4, 2, 3, 4)
    x = fitted(images, covariance=form, rank=10, ridge=0.0).sample(100, rng(5)).double()
    rank = int(torch.linalg.matrix_rank((x - x.mean(0)).flatten(1), rtol=1e-4))
    assert rank == (24 if form == "fourier" else 3)


@every_form
def test_starts_at_one_example_have_the_ridge(form):
    image = noise(1, 2, 3, 4)
    offset = fitted(image, covariance=form, rank=5, ridge=0.09).sample(N, rng(6)) - image
    assert moments_z(offset, torch.zeros(24), 0.09 * torch.eye(24)) < 5


@every_form
def test_examples_that_do_not_vary_need_a_ridge(form):
    init = fitted(torch.full((5, 1, 2, 2), 0.5), covariance=form, ridge=0.0)
    with pytest.raises(UsageError, match=r"^ridge 0 makes all starts the same, .* write -s init\.ridge=0\.01$"):
        init.sample(2, rng())


def test_low_rank_finds_the_leading_components():
    directions = torch.linalg.qr(torch.randn(60, 3, generator=rng(7))).Q
    spread = torch.randn(500, 3, generator=rng(8)) * torch.tensor([3.0, 2.0, 1.0])
    data = spread @ directions.T + 0.1 * torch.randn(500, 60, generator=rng(9))
    state = fitted(data, covariance="low_rank", rank=3, ridge=0.0).state_dict()
    covariance = torch.cov(data.double().T)
    values, vectors = torch.linalg.eigh(covariance)
    total = state["factor"].square().sum() + 60 * state["rest"].square()
    assert math.isclose(float(total), float(covariance.trace()), rel_tol=1e-5)
    assert math.isclose(float(state["rest"].square()), float(values[:-3].mean()), rel_tol=1e-5)
    found = torch.linalg.svd(state["factor"].double()).U[:, :3]
    assert torch.linalg.svdvals(vectors[:, -3:].T @ found).min() > 1 - 1e-6


def test_fourier_starts_have_the_power_spectrum_of_the_images():
    images = torch.nn.functional.avg_pool2d(noise(200, 1, 12, 14), 3, stride=1)
    power = [
        torch.fft.fft2(x.double() - x.double().mean(0), norm="ortho").abs().square()
        for x in (images, fitted(images, covariance="fourier", ridge=0.0).sample(N, rng(10)))
    ]
    assert z(power[1], power[0].sum(0) / 199) < 5
    assert z(power[1], 1.1 * power[0].sum(0) / 199) > 5


def test_auto_is_full_up_to_4096_elements():
    def form(*shape: int) -> object:
        return FittedGaussian(shape, Examples(torch.zeros(1, 1))).form

    assert form(4096) == Full((4096,))
    assert form(1, 64, 64) == Full((1, 64, 64))
    assert form(4097) == LowRank((4097,), 256)
    assert form(3, 64, 64) == LowRank((3, 64, 64), 256)
    assert FittedGaussian((3, 8, 8), Examples(torch.zeros(1, 1)), covariance="fourier").form == Fourier((3, 8, 8))


def test_a_limit_reads_a_fixed_random_choice(monkeypatch):
    monkeypatch.setattr(chosen, "ELEMENTS", 6)
    rows = torch.arange(40.0).reshape(20, 2)
    examples = ChosenExamples(Examples(rows), (2,), 7)
    batches = list(examples.batches())
    assert [len(batch) for batch in batches] == [3, 3, 1]
    read = torch.cat(batches)
    assert len(examples) == len(read[:, 0].unique()) == 7
    assert torch.equal(read, torch.cat(list(ChosenExamples(Examples(rows), (2,), 7).batches())))
    assert not torch.equal(read, rows[:7].double())
    torch.testing.assert_close(examples.mean, read.mean(0))
    assert torch.equal(fitted(rows, limit=7).centre, read.mean(0).float())
    assert torch.equal(fitted(rows, limit=None).centre, rows.mean(0))


@every_form
def test_small_batches_fit_the_same(form, monkeypatch):
    images = noise(30, 2, 3, 4)
    whole = fitted(images, covariance=form, rank=4).sample(5, rng())
    monkeypatch.setattr(chosen, "ELEMENTS", 24 * 7)
    torch.testing.assert_close(fitted(images, covariance=form, rank=4).sample(5, rng()), whole)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"rank": 0}, "rank"),
        ({"scale": -1.0}, "scale"),
        ({"scale": math.nan}, "scale"),
        ({"ridge": -0.1}, "ridge"),
        ({"ridge": math.inf}, "ridge"),
        ({"limit": 0}, "limit"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], name: str):
    with pytest.raises(UsageError, match=f"^{name} must be "):
        fitted(noise(3, 2), **settings)


def test_a_fourier_covariance_of_vectors_is_refused():
    with pytest.raises(UsageError, match=r"covariance fourier is for images .* write -s init\.covariance=low_rank$"):
        fitted(noise(3, 2), covariance="fourier")


def test_examples_of_another_shape_are_refused():
    init = FittedGaussian((3,), Examples(noise(5, 2)))
    with pytest.raises(ValueError, match=r"the data are of examples \(2,\), but starts of shape \(3,\) are fitted"):
        init.sample(1, rng())
