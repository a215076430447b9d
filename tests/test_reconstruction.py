"""Reconstruction: the best z is kept, and settings that cannot work are refused."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from chain_gradients import SAMPLERS, network, rng
from torch import Generator, Tensor

from ebmkit.energies.convnet import ConvNet
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun


def double_uniform(shape: tuple[int, ...]) -> Any:
    class Double(Uniform):
        def sample(self, n: int, rng: Generator) -> Tensor:
            return super().sample(n, rng).double()

    return Double(shape)


@pytest.mark.parametrize("method", ["descent", "adam"])
def test_both_gradients_agree_where_both_are_exact(method: Any):
    model = ShortRun(network("leaky_relu"), SAMPLERS["langevin"], double_uniform((6,)))
    x = torch.randn(4, 6, generator=rng(1), dtype=torch.float64)
    one, other = (
        model.reconstruct(x, rng(2), updates=20, method=method, gradient=gradient)
        for gradient in ("translation", "full")
    )
    torch.testing.assert_close(one.x, other.x)
    torch.testing.assert_close(one.error, other.error)


def test_an_inexact_translation_is_refused_and_auto_is_full():
    model = ShortRun(network("silu"), SAMPLERS["langevin"], double_uniform((6,)))
    x = torch.randn(4, 6, generator=rng(1), dtype=torch.float64)
    with pytest.raises(UsageError, match="exact only for piecewise linear energies; write 'full' or 'auto'"):
        model.reconstruct(x, rng(), gradient="translation")
    auto, full = (model.reconstruct(x, rng(2), updates=5, gradient=gradient) for gradient in ("auto", "full"))
    assert torch.equal(auto.x, full.x)


def image_model() -> ShortRun:
    torch.manual_seed(0)
    return ShortRun(ConvNet((1, 8, 8), width=4), Langevin(steps=10), Uniform((1, 8, 8)))


def test_the_best_image_is_kept_and_its_error_falls():
    model = image_model()
    x = torch.rand(3, 1, 8, 8, generator=rng(1)) * 2 - 1
    found = model.reconstruct(x, rng(2), updates=60, at=(0, 10, 60, 99))
    assert found.error.shape == (61, 3)
    assert (found.error[1:] <= found.error[:-1]).all()
    assert found.error[-1].max() < found.error[0].min() / 20
    torch.testing.assert_close(found.error[-1], (found.x - x).square().flatten(1).mean(1))
    torch.testing.assert_close(model.generate(found.z), found.x)
    assert sorted(found.kept) == [0, 10, 60]
    torch.testing.assert_close(found.error[10], (found.kept[10] - x).square().flatten(1).mean(1))


def test_too_large_a_learning_rate_loses_nothing():
    x = torch.rand(3, 1, 8, 8, generator=rng(1)) * 2 - 1
    found = image_model().reconstruct(x, rng(2), updates=30, lr=5.0)
    assert (found.error[-1] <= found.error[0]).all()
    assert found.x.isfinite().all()


def test_no_updates_return_the_image_of_the_start():
    model, x = image_model(), torch.zeros(2, 1, 8, 8)
    found = model.reconstruct(x, rng(2), updates=0)
    assert torch.equal(found.z, Uniform((1, 8, 8)).sample(2, rng(2)))
    assert torch.equal(found.x, model.generate(found.z))


@pytest.mark.parametrize("wrong", [{"updates": -1}, {"lr": 0.0}, {"lr": math.nan}], ids=str)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))} must be"):
        image_model().reconstruct(torch.zeros(2, 1, 8, 8), rng(), **wrong)


def test_examples_of_another_shape_are_refused():
    with pytest.raises(UsageError, match=r"^the samples of this model have shape \(1, 8, 8\), but x has \(3, 8, 8\)$"):
        image_model().reconstruct(torch.zeros(2, 3, 8, 8), rng())


@pytest.mark.parametrize("wrong", [{"method": "adma"}, {"gradient": "ful"}], ids=str)
def test_unknown_words_are_refused_with_the_nearest(wrong: dict[str, Any]):
    with pytest.raises(UsageError, match=r"Did you mean '(adam|full)'\?"):
        image_model().reconstruct(torch.zeros(2, 1, 8, 8), rng(), **wrong)


def test_nonfinite_examples_are_refused():
    with pytest.raises(UsageError, match=r"^x contains NaN or infinity; expected finite values$"):
        image_model().reconstruct(torch.full((2, 1, 8, 8), math.nan), rng())


def test_a_chain_that_diverges_has_no_image():
    broken = replace(image_model(), energy=lambda x: x.flatten(1).sum(1) * math.nan)
    found = broken.reconstruct(torch.zeros(2, 1, 8, 8), rng(), updates=2, gradient="full")
    assert found.x.isnan().all()
    assert found.error.isinf().all()
