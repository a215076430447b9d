"""Reconstruction: the two gradients agree where both apply, the best is kept, memory grows with the root of K."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import Promises, Sampler
from ebmkit.reconstruction import cut, pull_back
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun

SAMPLERS: dict[str, Sampler] = {
    "langevin": Langevin(steps=11, step_size=0.3),
    "clipped": Langevin(steps=11, step_size=0.3, clip=0.05),
    "hmc": HMC(steps=5, step_size=0.2, leapfrog=3),
}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def network(activation: Any, strength: float = 3.0) -> nn.Module:
    torch.manual_seed(0)
    energy = MLP((6,), width=16, depth=2, activation=activation).double()
    for parameter in energy.parameters():
        parameter.data *= strength
    return energy.requires_grad_(False)


def gradient_by_z(sampler: Sampler, energy: nn.Module, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The end and the gradient of |M(z) - x|², by one graph through the whole chain."""
    leaf = z.clone().requires_grad_()
    *_, last = sampler.chain(energy, leaf, rng())
    (gradient,) = torch.autograd.grad((last.x - x).square().sum(), leaf)
    return last.x.detach(), gradient


@every_sampler
@pytest.mark.parametrize("activation", ["silu", "leaky_relu"])
def test_the_gradient_in_pieces_is_that_of_the_whole_chain(sampler: Sampler, activation: str):
    energy, (z, x) = network(activation), torch.randn(2, 5, 6, generator=rng(1), dtype=torch.float64)
    expected, by_z = gradient_by_z(sampler, energy, z, x)
    end, back = pull_back(sampler, energy, z, rng())
    torch.testing.assert_close(end, expected)
    torch.testing.assert_close(back(2 * (end - x)), by_z)


@every_sampler
def test_between_kinks_the_chain_is_a_translation(sampler: Sampler):
    energy, (z, x) = network("leaky_relu"), torch.randn(2, 50, 6, generator=rng(1), dtype=torch.float64)
    assert ShortRun(energy, sampler, Uniform((6,))).translates
    end, by_z = gradient_by_z(sampler, energy, z, x)
    assert (end - z).abs().max() > 0.1
    torch.testing.assert_close(2 * (end - x), by_z)


@every_sampler
def test_a_smooth_energy_is_no_translation(sampler: Sampler):
    energy, (z, x) = network("silu"), torch.randn(2, 50, 6, generator=rng(1), dtype=torch.float64)
    assert not ShortRun(energy, sampler, Uniform((6,))).translates
    end, by_z = gradient_by_z(sampler, energy, z, x)
    assert not torch.allclose(2 * (end - x), by_z, rtol=1e-2)


def test_a_clamp_is_no_translation():
    clamped = Langevin(steps=3, clamp=(-1.0, 1.0))
    assert not ShortRun(network("relu"), clamped, Uniform((6,))).translates
    assert not ShortRun(lambda x: x.sum(1), Langevin(), Uniform((6,))).translates


def double_uniform(shape: tuple[int, ...]) -> Any:
    class Double(Uniform):
        def sample(self, n: int, rng: Generator) -> Tensor:
            return super().sample(n, rng).double()

    return Double(shape)


@pytest.mark.parametrize("method", ["descent", "adam"])
def test_both_gradients_find_the_same_where_both_apply(method: Any):
    model = ShortRun(network("leaky_relu"), SAMPLERS["langevin"], double_uniform((6,)))
    x = torch.randn(4, 6, generator=rng(1), dtype=torch.float64)
    one, other = (
        model.reconstruct(x, rng(2), updates=20, method=method, gradient=gradient)
        for gradient in ("translation", "full")
    )
    torch.testing.assert_close(one.x, other.x)
    torch.testing.assert_close(one.error, other.error)


def test_a_translation_is_refused_where_it_is_not_exact_and_auto_takes_the_full_gradient():
    model = ShortRun(network("silu"), SAMPLERS["langevin"], double_uniform((6,)))
    x = torch.randn(4, 6, generator=rng(1), dtype=torch.float64)
    with pytest.raises(UsageError, match="exact only for piecewise linear energies; write 'full' or 'auto'"):
        model.reconstruct(x, rng(), gradient="translation")
    auto, full = (model.reconstruct(x, rng(2), updates=5, gradient=gradient) for gradient in ("auto", "full"))
    assert torch.equal(auto.x, full.x)


def image_model() -> ShortRun:
    torch.manual_seed(0)
    return ShortRun(ConvNet((1, 8, 8), width=4), Langevin(steps=10), Uniform((1, 8, 8)))


def test_the_best_so_far_is_kept_and_its_error_falls():
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


def test_too_large_a_step_loses_nothing_that_was_found():
    x = torch.rand(3, 1, 8, 8, generator=rng(1)) * 2 - 1
    found = image_model().reconstruct(x, rng(2), updates=30, lr=5.0)
    assert (found.error[-1] <= found.error[0]).all()
    assert found.x.isfinite().all()


def test_no_updates_give_the_image_of_the_start():
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


def test_a_chain_is_cut_into_pieces_of_about_the_root_of_its_length():
    assert [piece.steps for piece in cut(Langevin(steps=100))] == [10] * 10
    assert [piece.steps for piece in cut(Langevin(steps=11))] == [3, 3, 3, 2]
    assert [piece.steps for piece in cut(Langevin(steps=1))] == [1]


class Whole(Sampler):
    """A sampler that says nothing of itself: it cannot be cut."""

    def chain(self, energy: Any, x: Tensor, rng: Generator) -> Any:
        return Langevin(steps=4, step_size=0.3, noise=0.1).chain(energy, x, rng)


def test_a_sampler_that_cannot_be_cut_is_carried_back_whole():
    energy, (z, x) = network("silu"), torch.randn(2, 5, 6, generator=rng(1), dtype=torch.float64)
    assert len(cut(Whole())) == 1
    _, by_z = gradient_by_z(Whole(), energy, z, x)
    end, back = pull_back(Whole(), energy, z, rng())
    torch.testing.assert_close(back(2 * (end - x)), by_z)


class Saved:
    """How many numbers a graph holds, now and at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def pack(self, x: Tensor) -> "Held":
        return Held(self, x)


class Held:
    def __init__(self, saved: Saved, x: Tensor) -> None:
        self.saved, self.x = saved, x
        saved.now += x.numel()
        saved.most = max(saved.most, saved.now)

    def __del__(self) -> None:
        self.saved.now -= self.x.numel()


def numbers_held(steps: int) -> int:
    energy, z = network("silu", 1.0), torch.randn(5, 6, generator=rng(1), dtype=torch.float64)
    saved = Saved()
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda held: held.x):
        _, back = pull_back(replace(SAMPLERS["langevin"], steps=steps), energy, z, rng())
        back(torch.ones_like(z))
    return saved.most


def test_the_memory_of_the_full_gradient_grows_with_the_root_of_the_chain_s_length():
    assert numbers_held(16) > 0
    # 16 times as many steps in 4 times the memory; one graph through the whole chain would hold 16 times as much.
    assert numbers_held(256) <= 4.1 * numbers_held(16)


class Plain(Sampler):
    """A sampler with steps that is no dataclass."""

    steps = 4

    @property
    def promises(self) -> Promises:
        return Promises(homogeneous=True)

    def chain(self, energy: Any, x: Tensor, rng: Generator) -> Any:
        return Langevin(steps=4, step_size=0.3, noise=0.1).chain(energy, x, rng)


def test_a_sampler_that_is_no_dataclass_is_carried_back_whole():
    assert len(cut(Plain())) == 1


@pytest.mark.parametrize("wrong", [{"method": "adma"}, {"gradient": "ful"}], ids=str)
def test_unknown_words_are_refused_with_the_nearest(wrong: dict[str, Any]):
    with pytest.raises(UsageError, match=r"Did you mean '(adam|full)'\?"):
        image_model().reconstruct(torch.zeros(2, 1, 8, 8), rng(), **wrong)


def test_what_is_not_finite_is_not_reconstructed():
    with pytest.raises(UsageError, match="^x contains NaN or infinity; expected finite values$"):
        image_model().reconstruct(torch.full((2, 1, 8, 8), math.nan), rng())


def test_a_chain_that_leaves_the_numbers_has_no_image():
    broken = replace(image_model(), energy=lambda x: x.flatten(1).sum(1) * math.nan)
    found = broken.reconstruct(torch.zeros(2, 1, 8, 8), rng(), updates=2, gradient="full")
    assert found.x.isnan().all()
    assert found.error.isinf().all()
