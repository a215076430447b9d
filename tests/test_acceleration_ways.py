"""Packed, compiled and captured passes: the same results, and what fails falls back with a notice."""

import os
import shutil
import warnings

import pytest
import torch
from networks import ENERGIES, SHAPE, Cancelling, image_energy, images, rng

from ebmkit.acceleration import replaying
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.acceleration.judging import Exact, wide
from ebmkit.energies.mlp import MLP
from ebmkit.errors import Notice
from ebmkit.interfaces import value_and_grad


@pytest.mark.skipif(not (os.environ.get("CXX") or shutil.which("g++")), reason="there is no C++ compiler")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_results_are_the_same_compiled_or_not(precision):
    energy = MLP((2,), width=4, depth=1)
    fast, x = Accelerated(energy, compile=True, precision=precision), torch.randn(3, 2, generator=rng())
    # Whether it is compiled is torch's affair: where its program is wrong, a notice says so and others are taken.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        found = fast.value_and_grad(x)
    for mine, theirs in zip(found, value_and_grad(energy, x), strict=True):
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if precision == "fp32" else {"rtol": 0.1, "atol": 0.02}
        torch.testing.assert_close(mine, theirs, **tolerance)


def off_in_the_last_row(body, **settings):
    """A compiler that gets the end of each batch wrong."""

    def program(*given):
        value, gradient = (one.clone() for one in body(*given))
        value[-1] = 2.8e10
        return value, gradient

    return program


def off_in_one_gradient(body, **settings):
    def program(*given):
        value, gradient = (one.clone() for one in body(*given))
        gradient[1] *= 1.6
        return value, gradient

    return program


def no_numbers(body, **settings):
    return lambda *given: tuple(torch.nan * one for one in body(*given))


@pytest.mark.parametrize("compiler", [off_in_the_last_row, off_in_one_gradient, no_numbers])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_program_that_is_wrong_is_not_used(compiler, precision, monkeypatch):
    monkeypatch.setattr(torch, "compile", compiler)
    energy = image_energy()
    fast = Accelerated(energy, compile=True, precision=precision)
    with pytest.warns(Notice, match=r"cannot be compiled \(Wrong: it gives other results") as notices:
        found = fast.value_and_grad(images())
    assert len(notices) == 1
    assert all(map(torch.equal, found, Accelerated(energy, precision=precision).value_and_grad(images())))


def rounding_less(body, **settings):
    """As torch's compiler does: what is rounded to bf16 between operations otherwise is not."""
    return lambda *given: tuple(one.to(given[0]) for one in Exact(body).run(*map(wide, given)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-6, 1.0])
@pytest.mark.parametrize("make", [image_energy, Cancelling])
def test_a_program_is_not_judged_at_the_weights(size, make, monkeypatch):
    monkeypatch.setattr(torch, "compile", rounding_less)
    for precision in ("fp32", "bf16"):
        energy = make()
        with torch.no_grad():
            for parameter in energy.parameters():
                parameter.mul_(size)
        fast = Accelerated(energy, compile=True, precision=precision)
        fast.value_and_grad(images())
        assert fast.twin.replay(images()).run.__name__ == "<lambda>"


class Held:
    """Holds on to its arguments' memory as a captured graph does, on any device."""

    def __init__(self, body, x, tensors):
        self.body, self.x, self.tensors = body, x.clone(), tensors

    def __call__(self, x):
        self.x.copy_(x)
        return tuple(one.clone() for one in self.body(self.x, *self.tensors))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ENERGIES)
def test_new_weights_are_copied_to_where_a_graph_reads_them(name, monkeypatch):
    monkeypatch.setattr(replaying, "Captured", Held)
    monkeypatch.setattr(replaying, "captures", lambda way, device: way == "compiled")
    monkeypatch.setattr(torch, "compile", lambda body, **settings: body.forward)
    energy, x = ENERGIES[name](), torch.randn(4, *SHAPE, generator=rng())
    fast = Accelerated(energy, compile=True)
    assert fast.twin.replay(x).captures
    for _ in range(2):
        with torch.no_grad():
            for parameter in energy.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(1)))
        for mine, theirs in zip(fast.refreshed(energy).value_and_grad(x), value_and_grad(energy, x), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_packed_is_recorded_with_a_notice(monkeypatch):
    def broken(recording):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(replaying, "pack", broken)
    energy = image_energy()
    fast = Accelerated(energy)
    with pytest.warns(Notice, match=r"cannot be packed \(RuntimeError: no such operation\)") as notices:
        found = fast.value_and_grad(images())
    assert len(notices) == 1
    assert fast.twin.replay(images()) is not None
    for mine, theirs in zip(found, value_and_grad(energy, images()), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_what_cannot_be_compiled_is_packed_with_a_notice(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", broken)
    energy = image_energy()
    fast = Accelerated(energy, compile=True)
    with pytest.warns(Notice, match=r"cannot be compiled \(RuntimeError: no compiler here\)") as notices:
        found = fast.value_and_grad(images())
    assert len(notices) == 1
    assert all(map(torch.equal, found, Accelerated(energy).value_and_grad(images())))
    assert fast.twin.replay(images()) is not None
