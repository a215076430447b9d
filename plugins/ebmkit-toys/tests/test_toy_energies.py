"""The energies: their draws follow exp(-E), and only points in the plane are accepted."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ebmkit_toys.energy import Banana, Centred, Funnel, Ring
from torch import Generator, Tensor

from ebmkit import UsageError, value_and_grad
from ebmkit.testing import conforms

N = 100_000
KINDS: list[type[Centred]] = [Funnel, Banana, Ring]


@conforms("energy", Funnel)
def test_funnel_conforms(check: Callable[[], None]):
    check()


@conforms("energy", Banana)
def test_banana_conforms(check: Callable[[], None]):
    check()


@conforms("energy", Ring)
def test_ring_conforms(check: Callable[[], None]):
    check()


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def worst_z(values: Tensor) -> float:
    """The largest |z| of the columns of `values` `(n, k)`, each of mean 0."""
    return float((values.mean(0) / (values.std(0) / math.sqrt(len(values)))).abs().max())


def moved(energy: Centred) -> Centred:
    """The energy in double precision, its centre away from 0."""
    energy = energy.double()
    with torch.no_grad():
        energy.centre += torch.tensor([0.3, -0.2])
    return energy


def stein_z(drawn: Centred, energy: Centred) -> float:
    """|z| of draws of one energy against Stein's identities of another: mean F = 0 and mean x F = I, F = dE/dx."""
    x = moved(drawn).draw(N, rng(1))
    _, gradient = value_and_grad(moved(energy), x)
    offset = x - energy.centre.detach()
    products = offset.unsqueeze(2) * gradient.unsqueeze(1) - torch.eye(2)
    return worst_z(torch.cat([gradient, products.flatten(1)], dim=1))


@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_the_energy(kind: type[Centred]):
    assert stein_z(kind((2,)), kind((2,))) < 5


def test_draws_of_a_wide_ring_follow_the_energy():
    assert stein_z(Ring((2,), scale=0.4), Ring((2,), scale=0.4)) < 5


@pytest.mark.parametrize(
    ("kind", "mutant"),
    [
        (Funnel, {"scale": 2.8}),
        (Banana, {"scale": 0.52}),
        (Banana, {"bend": 1.1}),
        (Banana, {"width": 0.105}),
        (Ring, {"radius": 0.76}),
        (Ring, {"scale": 0.055}),
    ],
    ids=str,
)
def test_the_test_of_the_draws_detects_other_settings(kind: type[Centred], mutant: dict[str, Any]):
    assert stein_z(kind((2,), **mutant), kind((2,))) > 5


def funnel_z(scale: float) -> float:
    """|z| of the funnel of scale 2 against v ~ N(0, scale²) and u ~ N(0, exp(v))."""
    v, u = Funnel((2,), scale=2.0).double().draw(N, rng(2)).unbind(1)
    v, u = v / scale, u * (-v / 2).exp()
    return worst_z(torch.stack([v, v.square() - 1, u, u.square() - 1, u * v], dim=1))


def test_the_width_of_the_funnel_is_its_first_coordinate():
    assert funnel_z(2.0) < 5
    assert funnel_z(2.05) > 5


def ring_z(radius: float, scale: float) -> float:
    """|z| of draws of a thin ring against squares N(radius², (2 radius scale)²) and uniform angles."""
    x = Ring((2,), radius=0.75, scale=0.05).double().draw(N, rng(3))
    square = x.square().sum(1, keepdim=True)
    excess = (square - radius**2) / (2 * radius * scale)
    side = x / square.sqrt()
    around = torch.cat([side, side.square() - 0.5, side.prod(1, keepdim=True)], dim=1)
    return worst_z(torch.cat([excess, excess.square() - 1, around], dim=1))


def test_the_ring_has_its_radius_its_width_and_all_angles():
    assert ring_z(0.75, 0.05) < 5
    assert ring_z(0.76, 0.05) > 5
    assert ring_z(0.75, 0.052) > 5


def test_the_banana_has_its_mean_and_bends_upwards():
    x = Banana((2,), bend=2.0).double().draw(N, rng(4))
    assert worst_z(x) < 5
    assert x[x[:, 0].abs() > 1, 1].mean() > 1
    assert worst_z(Banana((2,), bend=2.0).double().draw(N, rng(4)) + torch.tensor([0.0, 0.05])) > 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_centre_moves_energies_and_draws(kind: type[Centred]):
    still, away = kind((2,)), kind((2,))
    shift = torch.tensor([0.5, -1.0])
    with torch.no_grad():
        away.centre.copy_(shift)
    x = still.draw(50, rng())
    torch.testing.assert_close(away.draw(50, rng()), x + shift)
    torch.testing.assert_close(away(x + shift), still(x), rtol=1e-4, atol=1e-4)
    away(x).sum().backward()
    assert away.centre.grad is not None
    assert (away.centre.grad != 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3,), (1, 2), (1, 8, 8)], ids=str)
def test_examples_not_in_the_plane_are_refused(kind: type[Centred], shape: tuple[int, ...]):
    with pytest.raises(UsageError, match=r"^shape must be \(2,\)") as caught:
        kind(shape)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Funnel, {"scale": 0.0}),
        (Banana, {"scale": 0.0}),
        (Banana, {"bend": math.inf}),
        (Banana, {"width": 0.0}),
        (Ring, {"radius": 0.0}),
        (Ring, {"scale": math.nan}),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(kind: type[Centred], settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        kind((2,), **settings)
    assert "\n" not in str(caught.value)
