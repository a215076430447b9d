"""The data sets: their distributions, their seeds, their ranges."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ebmkit_toys.data import checkerboard, pinwheel, spirals, swiss_roll
from torch import Tensor

from ebmkit import UsageError
from ebmkit.testing import conforms

N = 50_000
SETS: list[Callable[..., Tensor]] = [checkerboard, spirals, pinwheel, swiss_roll]
every_set = pytest.mark.parametrize("points", SETS)


@conforms("data", checkerboard)
def test_checkerboard_conforms(check: Callable[[], None]):
    check()


@conforms("data", spirals)
def test_spirals_conform(check: Callable[[], None]):
    check()


@conforms("data", pinwheel)
def test_pinwheel_conforms(check: Callable[[], None]):
    check()


@conforms("data", swiss_roll)
def test_swiss_roll_conforms(check: Callable[[], None]):
    check()


def worst_z(values: Tensor) -> float:
    """The largest |z| of the columns of `values` `(n, k)`, each of mean 0."""
    values = values.double()
    return float((values.mean(0) / (values.std(0) / math.sqrt(len(values)))).abs().max())


def uniform(u: Tensor) -> Tensor:
    """Columns of mean 0 for values `(n,)` that are uniform on [0, 1]."""
    return torch.stack([u - 1 / 2, u.square() - 1 / 3, u.pow(3) - 1 / 4], dim=1)


def shares(kinds: Tensor, count: int) -> Tensor:
    """Columns of mean 0 for kinds `(n,)` that are uniform on 0, ..., count - 1."""
    return (kinds.unsqueeze(1) == torch.arange(count)).double() - 1 / count


def turns(x: Tensor) -> Tensor:
    """Angles `(n,)` of points `(n, 2)`, in turns."""
    return torch.atan2(x[:, 1], x[:, 0]) / (2 * math.pi)


@every_set
def test_points_are_in_the_plane_and_mostly_in_the_square(points: Callable[..., Tensor]):
    x = points(count=2000)
    assert x.shape == (2000, 2)
    assert x.dtype == torch.float32
    assert (x.abs() <= 1).all(1).float().mean() > 0.98
    assert x.abs().max() < 1.2
    assert x.abs().amax(0).min() > 0.6


@every_set
def test_the_points_depend_on_the_seed(points: Callable[..., Tensor]):
    assert torch.equal(points(count=20, seed=3), points(count=20, seed=3))
    assert not torch.equal(points(count=20, seed=3), points(count=20, seed=4))


def board_z(x: Tensor, squares: int) -> float:
    """|z| of points against the uniform distribution on the dark squares; infinite if one is on a light square."""
    place = (x.double() + 1) / 2 * squares
    cell = place.floor().long().clamp(max=squares - 1)
    if (cell.sum(1) % 2).any():
        return math.inf
    within = place - cell
    dark, kinds = torch.unique(cell[:, 0] * squares + cell[:, 1], return_inverse=True)
    columns = [shares(kinds, len(dark)), uniform(within[:, 0]), uniform(within[:, 1])]
    together = (within - 0.5).prod(1, keepdim=True)
    return worst_z(torch.cat([*columns, together], dim=1)) if len(dark) == -(-(squares**2) // 2) else math.inf


@pytest.mark.parametrize("squares", [2, 3, 4])
def test_the_checkerboard_is_uniform_on_its_dark_squares(squares: int):
    assert board_z(checkerboard(count=N, squares=squares), squares) < 5


def test_the_test_of_the_checkerboard_detects_mutants():
    x = checkerboard(count=N)
    assert board_z(-x * torch.tensor([1.0, -1.0]), 4) == math.inf
    assert board_z(x[x[:, 0] < 0.9], 4) > 5
    assert board_z(torch.cat([x, x[(x < -0.5).all(1)][:1000]]), 4) > 5


def arms_z(x: Tensor, arms: int, twists: float) -> float:
    """|z| of points against noiseless spirals: uniform squared distances and arms; infinite if one is not on an arm."""
    radius = x.norm(dim=1)
    start = (turns(x) - twists * radius) * arms
    if not torch.allclose(start, start.round(), atol=1e-3):
        return math.inf
    kinds = start.round().long() % arms
    return worst_z(torch.cat([uniform(radius.square()), shares(kinds, arms)], dim=1))


@pytest.mark.parametrize(("arms", "twists"), [(2, 1.5), (3, 0.5)])
def test_spirals_have_uniform_squared_distances_on_their_arms(arms: int, twists: float):
    # Near the centre, the angle is not determined in single precision.
    x = spirals(count=N, arms=arms, turns=twists, scale=0.0).double()
    assert arms_z(x, arms, twists) < 5


def test_the_test_of_the_spirals_detects_mutants():
    x = spirals(count=N, scale=0.0).double()
    assert arms_z(x, 2, 1.4) == math.inf
    assert arms_z(spirals(count=N, arms=1, scale=0.0).double(), 2, 1.5) > 5
    assert arms_z(x[x.norm(dim=1) > 0.2], 2, 1.5) > 5


def vane_z(x: Tensor, arms: int, width: float) -> float:
    """|z| of points against straight vanes of radius 0.5 and length 0.15: which vane, along it, and across it."""
    kinds = (turns(x) * arms).round().long() % arms
    angle = 2 * math.pi * kinds / arms
    along = (x[:, 0] * angle.cos() + x[:, 1] * angle.sin() - 0.5) / 0.15
    across = (x[:, 1] * angle.cos() - x[:, 0] * angle.sin()) / width
    columns = [along, along.square() - 1, across, across.square() - 1, along * across]
    return worst_z(torch.cat([torch.stack(columns, dim=1), shares(kinds, arms)], dim=1))


def test_a_pinwheel_without_a_twist_has_straight_vanes():
    x = pinwheel(count=N, twist=0.0, width=0.005).double()
    x = x[x.norm(dim=1) > 0.05]  # a point behind the centre is attributed to another vane
    assert vane_z(x, 5, 0.005) < 5
    assert vane_z(x, 5, 0.0052) > 5
    assert vane_z(1.02 * x, 5, 0.005) > 5
    assert vane_z(pinwheel(count=N, arms=4, twist=0.0, width=0.005).double(), 5, 0.005) > 5


def test_the_twist_rotates_points_by_their_distance():
    x = pinwheel(count=N, width=0.0, length=0.05)
    straight = pinwheel(count=N, width=0.0, length=0.05, twist=0.0)
    torch.testing.assert_close(x.norm(dim=1), straight.norm(dim=1))
    turned = (turns(x) - turns(straight)) % 1 * 2 * math.pi
    torch.testing.assert_close(turned, 0.25 * (x.norm(dim=1) / 0.5).exp(), atol=1e-4, rtol=0)


def roll_z(x: Tensor) -> float:
    """|z| of points against a noiseless roll; infinite if one is not on it."""
    radius = x.norm(dim=1)
    off = (turns(x) - 2.25 * radius) % 1
    return worst_z(uniform((3 * radius - 1) / 2)) if ((off < 1e-4) | (off > 1 - 1e-4)).all() else math.inf


def test_the_swiss_roll_is_uniform_in_its_distance():
    x = swiss_roll(count=N, scale=0.0).double()
    assert roll_z(x) < 5
    assert roll_z(x[x.norm(dim=1) < 0.95]) > 5
    assert roll_z(0.99 * x) == math.inf


def noise_z(points: Callable[..., Tensor], scale: float) -> float:
    """|z| of noise with scale 0.05 against Gaussian noise with scale `scale`."""
    noise = (points(count=N, scale=0.05) - points(count=N, scale=0.0)) / scale
    squares = noise.square() - 1
    return worst_z(torch.cat([noise, squares, noise.prod(1, keepdim=True), noise.pow(4) - 3], dim=1))


@pytest.mark.parametrize("points", [spirals, swiss_roll])
def test_the_noise_is_gaussian_with_the_given_scale(points: Callable[..., Tensor]):
    assert noise_z(points, 0.05) < 5
    assert noise_z(points, 0.052) > 5


@pytest.mark.parametrize(
    ("points", "settings"),
    [
        *[(points, {"count": 0}) for points in SETS],
        (checkerboard, {"squares": 0}),
        (spirals, {"arms": 0}),
        (spirals, {"turns": -1.0}),
        (spirals, {"scale": -0.1}),
        (pinwheel, {"arms": 0}),
        (pinwheel, {"radius": 0.0}),
        (pinwheel, {"length": -0.1}),
        (pinwheel, {"width": -0.1}),
        (pinwheel, {"twist": math.inf}),
        (swiss_roll, {"scale": math.nan}),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(points: Callable[..., Tensor], settings: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        points(**settings)
    assert "\n" not in str(caught.value)
