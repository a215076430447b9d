"""Gradients through a chain: exact in pieces, a translation between kinks, in memory of order sqrt(K)."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from chain_gradients import SAMPLERS, network, rng
from torch import Generator, Tensor, nn

from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import Promises, Sampler
from ebmkit.reconstruction import cut, pull_back
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun

every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


def gradient_by_z(sampler: Sampler, energy: nn.Module, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The end and the gradient of |M(z) - x|², by one graph through the whole chain."""
    leaf = z.clone().requires_grad_()
    *_, last = sampler.chain(energy, leaf, rng())
    (gradient,) = torch.autograd.grad((last.x - x).square().sum(), leaf)
    return last.x.detach(), gradient


@every_sampler
@pytest.mark.parametrize("activation", ["silu", "leaky_relu"])
def test_the_gradient_in_pieces_is_that_of_the_chain(sampler: Sampler, activation: str):
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
def test_with_a_smooth_energy_it_is_not_a_translation(sampler: Sampler):
    energy, (z, x) = network("silu"), torch.randn(2, 50, 6, generator=rng(1), dtype=torch.float64)
    assert not ShortRun(energy, sampler, Uniform((6,))).translates
    end, by_z = gradient_by_z(sampler, energy, z, x)
    assert not torch.allclose(2 * (end - x), by_z, rtol=1e-2)


def test_with_a_clamp_it_is_not_a_translation():
    clamped = Langevin(steps=3, clamp=(-1.0, 1.0))
    assert not ShortRun(network("relu"), clamped, Uniform((6,))).translates
    assert not ShortRun(lambda x: x.sum(1), Langevin(), Uniform((6,))).translates


def test_a_chain_is_cut_into_pieces_of_about_sqrt_k_steps():
    assert [piece.steps for piece in cut(Langevin(steps=100))] == [10] * 10
    assert [piece.steps for piece in cut(Langevin(steps=11))] == [3, 3, 3, 2]
    assert [piece.steps for piece in cut(Langevin(steps=1))] == [1]


class Whole(Sampler):
    """A sampler without promises, which cannot be cut."""

    def chain(self, energy: Any, x: Tensor, rng: Generator) -> Any:
        return Langevin(steps=4, step_size=0.3, noise=0.1).chain(energy, x, rng)


def test_a_sampler_that_cannot_be_cut_is_one_piece():
    energy, (z, x) = network("silu"), torch.randn(2, 5, 6, generator=rng(1), dtype=torch.float64)
    assert len(cut(Whole())) == 1
    _, by_z = gradient_by_z(Whole(), energy, z, x)
    end, back = pull_back(Whole(), energy, z, rng())
    torch.testing.assert_close(back(2 * (end - x)), by_z)


class Saved:
    """The number of elements that a graph stores, now and at most."""

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


def elements_stored(steps: int) -> int:
    energy, z = network("silu", 1.0), torch.randn(5, 6, generator=rng(1), dtype=torch.float64)
    saved = Saved()
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda held: held.x):
        _, back = pull_back(replace(SAMPLERS["langevin"], steps=steps), energy, z, rng())
        back(torch.ones_like(z))
    return saved.most


def test_memory_grows_with_the_square_root_of_k():
    assert elements_stored(16) > 0
    # 16 times as many steps in 4 times the memory; one graph through the whole chain would hold 16 times as much.
    assert elements_stored(256) <= 4.1 * elements_stored(16)


class Plain(Sampler):
    """A sampler with steps that is not a dataclass."""

    steps = 4

    @property
    def promises(self) -> Promises:
        return Promises(homogeneous=True)

    def chain(self, energy: Any, x: Tensor, rng: Generator) -> Any:
        return Langevin(steps=4, step_size=0.3, noise=0.1).chain(energy, x, rng)


def test_a_sampler_that_is_not_a_dataclass_is_one_piece():
    assert len(cut(Plain())) == 1
