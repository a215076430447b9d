"""Init distributions: uniform noise, Gaussian noise, and examples of the data."""

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.inits.data import DataInit
from ebmkit.inits.gaussian import Gaussian
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import InitDistribution

N = 20_000


class Rows:
    """The smallest source of examples; it records the indices that were fetched."""

    def __init__(self, rows: Tensor) -> None:
        self.rows, self.asked = rows, [torch.zeros(0, dtype=torch.long)]

    def __len__(self) -> int:
        return len(self.rows)

    def fetch(self, indices: Tensor) -> Tensor:
        assert indices.device.type == "cpu"
        assert indices.dtype == torch.long
        self.asked.append(indices)
        return self.rows[indices]


ROWS = torch.arange(12.0).reshape(6, 2)
INITS: dict[str, InitDistribution] = {
    "uniform": Uniform((2, 3)),
    "gaussian": Gaussian((2, 3)),
    "data": DataInit(Rows(ROWS)),
    "data-noise": DataInit(Rows(ROWS), noise=0.1),
}
every_init = pytest.mark.parametrize("init", INITS.values(), ids=INITS)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def z(values: Tensor, expected: float) -> float:
    values = values.double().flatten()
    return abs(float((values.mean() - expected) / (values.std() / math.sqrt(len(values)))))


@every_init
def test_a_seed_decides_the_starts(init: InitDistribution):
    x = init.sample(7, rng(1))
    assert x.dtype == torch.float32
    assert len(x) == 7
    assert torch.equal(x, init.sample(7, rng(1)))
    assert not torch.equal(x, init.sample(7, rng(2)))


@every_init
def test_the_global_random_state_is_untouched(init: InitDistribution):
    before = torch.get_rng_state()
    init.sample(3, rng())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(2,), (3, 8, 8), (1, 4, 6)], ids=str)
@pytest.mark.parametrize("kind", [Uniform, Gaussian])
def test_noise_has_the_shape_of_the_examples(kind: type[Any], shape: tuple[int, ...]):
    assert kind(shape).sample(5, rng()).shape == (5, *shape)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 0.5), (-3.0, -2.0)])
def test_uniform_noise_fills_its_range(low: float, high: float):
    x = Uniform((3,), low=low, high=high).sample(N, rng(3))
    assert low <= x.min() < low + 1e-3 < high - 1e-3 < x.max() <= high


def test_uniform_noise_has_the_range_of_the_data_by_default():
    assert (Uniform((2,)).low, Uniform((2,)).high) == (-1, 1)


def test_data_starts_are_examples_drawn_with_replacement():
    data = Rows(ROWS)
    x = DataInit(data).sample(N, rng(6))
    indices = data.asked[-1]
    assert torch.equal(x, ROWS[indices])
    for index in range(6):
        assert z((indices == index).double(), 1 / 6) < 5
    # With replacement, two consecutive draws agree with probability 1/6.
    assert z((indices[:-1] == indices[1:]).double(), 1 / 6) < 5


def test_data_starts_have_the_given_gaussian_noise():
    rows = Rows(ROWS)
    noise = DataInit(rows, noise=0.3).sample(N, rng(7)) - ROWS[rows.asked[-1]]
    assert z(noise, 0) < 5
    assert z(noise.square(), 0.09) < 5
    assert z(noise.square(), 0.1) > 5
    assert z(noise[:, 0] * noise[:, 1], 0) < 5


def test_data_starts_do_not_change_the_data():
    rows = ROWS.clone()
    DataInit(Rows(rows), noise=1.0).sample(50, rng()).add_(1)
    assert torch.equal(rows, ROWS)


def test_data_starts_come_from_any_examples():
    images = torch.rand(5, 1, 4, 4, generator=rng()) * 2 - 1
    x = DataInit(Examples(images)).sample(30, rng(8))
    assert x.shape == (30, 1, 4, 4)
    assert all(any(torch.equal(start, image) for image in images) for start in x)


@pytest.mark.parametrize(
    ("kind", "settings", "name"),
    [
        (Uniform, {"low": 1.0, "high": -1.0}, "high"),
        (Uniform, {"low": 0.5, "high": 0.5}, "high"),
        (Uniform, {"low": math.nan}, "low"),
        (Uniform, {"high": math.inf}, "high"),
        (Gaussian, {"scale": 0.0}, "scale"),
        (Gaussian, {"mean": math.nan}, "mean"),
        (DataInit, {"noise": -0.1}, "noise"),
        (DataInit, {"noise": math.nan}, "noise"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(kind: type[Any], settings: dict[str, float], name: str):
    with pytest.raises(UsageError, match=f"^{name} must be ") as caught:
        kind((2,), **settings)
    assert "\n" not in str(caught.value)
