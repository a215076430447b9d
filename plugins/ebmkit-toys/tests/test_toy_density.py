"""The watcher: what its pictures show, when they are drawn, and what it refuses; the hooks of the plug-in."""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ebmkit_toys.watcher import INK, RED, density, dotted, energies, shaded
from PIL import Image
from torch import Generator, Tensor, nn

from ebmkit import Trainer, Update, UsageError
from ebmkit.data import Examples
from ebmkit.energies import MLP
from ebmkit.inits import Uniform
from ebmkit.samplers import Langevin
from ebmkit.testing import conforms


@conforms("watcher", density, every=2, cells=8)
def test_density_conforms(check: Callable[[], None]):
    check()


class Bump(nn.Module):
    """A narrow bump at the upper right; active dropout would destroy it."""

    def __init__(self) -> None:
        super().__init__()
        self.centre, self.dropout = nn.Parameter(torch.tensor([0.9, 0.3])), nn.Dropout(0.99)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(50 * (x - self.centre).square().sum(1))


def trainer(energy: nn.Module, lr: float = 0.0, **settings: Any) -> Trainer:
    optimizer = torch.optim.SGD(energy.parameters(), lr=lr)
    rng = Generator().manual_seed(0)
    return Trainer(energy, Langevin(steps=1, step_size=0.01), Uniform((2,)), optimizer, rng, **settings)


def points(count: int = 50) -> Examples:
    return Examples(torch.rand(count, 2, generator=Generator().manual_seed(1)) * 2 - 1)


def updates(training: Trainer, count: int) -> Iterator[Update]:
    for _ in range(count):
        yield training.update(points().fetch(torch.arange(8)))


def run(training: Trainer, folder: Path, count: int = 5, **settings: Any) -> list[str]:
    """The names of the pictures of `count` updates."""
    out = list(density(updates(training, count), training, folder, points(), count, **settings))
    assert [update.index for update in out] == list(range(1, count + 1))
    return sorted(path.name for path in folder.glob("density/*"))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


@pytest.mark.parametrize(
    ("every", "drawn"), [(2, [2, 4, 5]), (5, [5]), (9, [5]), (None, [1, 2, 3, 4, 5]), (0, [])], ids=str
)
def test_pictures_are_drawn_at_every_nth_and_the_last_update(every: int | None, drawn: list[int], tmp_path: Path):
    names = run(trainer(MLP((2,), width=4)), tmp_path, every=every, cells=4)
    assert names == [f"{index:06d}.png" for index in drawn]


def test_the_darkest_place_is_the_lowest_energy(tmp_path: Path):
    run(trainer(Bump()), tmp_path, count=1, cells=32, extent=1.5, points=0)
    picture = pixels(tmp_path / "density/000001.png")[:, :, 0]
    assert picture.shape == (384, 384)
    rows, columns = np.nonzero(picture == picture.min())
    x, y = (columns.mean() + 0.5) / 192 - 1, 1 - (rows.mean() + 0.5) / 192
    assert (1.5 * x, 1.5 * y) == (pytest.approx(0.9, abs=0.06), pytest.approx(0.3, abs=0.06))
    assert picture.min() == 40
    assert picture[0, 0] == 255


def test_the_grid_has_the_energies_of_its_cell_centres():
    found = energies(Bump(), 2, 1.0, torch.device("cpu"))
    corners = torch.tensor([[-0.5, 0.5], [0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    torch.testing.assert_close(found.flatten(), Bump().eval()(corners).detach())
    assert not found.requires_grad


def test_the_shade_is_the_density_divided_by_its_maximum():
    shade = np.asarray(shaded(torch.tensor([[3.0, 3.0 + math.log(2)], [math.inf, 4.0]])))
    quarters = shade[::192, ::192]
    assert quarters[:, :, 0].tolist() == [[40, round(255 - 215 / 2)], [255, round(255 - 215 / math.e)]]
    assert (quarters == quarters[:, :, :1]).all()


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_nan_and_minus_infinity_are_red(bad: float):
    picture = np.asarray(shaded(torch.tensor([[1.0, bad], [math.inf, 1.0]])))[::192, ::192]
    assert picture[0, 1].tolist() == list(RED)
    assert picture[:, :, 1].tolist() == [[40, 0], [255, 40]]


def test_a_density_of_zero_everywhere_is_white():
    assert (np.asarray(shaded(torch.full((2, 2), math.inf))) == 255).all()


def test_the_temperature_flattens_the_density(tmp_path: Path):
    for name, temperature in {"cold": 0.1, "hot": 10.0}.items():
        (tmp_path / name).mkdir()
        run(trainer(Bump()), tmp_path / name, count=1, cells=32, points=0, temperature=temperature)
    cold, hot = (pixels(tmp_path / name / "density/000001.png").mean() for name in ("cold", "hot"))
    assert cold > hot + 10


def test_dots_are_where_the_points_are():
    picture = np.asarray(dotted(Image.new("RGB", (64, 64), "white"), torch.tensor([[0.5, 0.75], [3.0, 0.0]]), 1.0))
    rows, columns = np.nonzero((picture == INK).all(2))
    assert (sorted(set(columns)), sorted(set(rows))) == ([47, 48], [7, 8])


def test_the_given_number_of_examples_is_drawn(tmp_path: Path):
    counts = []
    for count in (0, 10, 500):
        folder = tmp_path / str(count)
        folder.mkdir()
        run(trainer(Bump()), folder, count=1, points=count)
        counts.append(int((pixels(folder / "density/000001.png") == INK).all(2).sum()))
    assert counts[0] == 0
    assert 0 < counts[1] <= 40 < counts[2] <= 200  # 50 examples, some of them repeated


def test_the_picture_is_of_the_averaged_model(tmp_path: Path):
    training = trainer(Bump(), average=0.99)
    list(updates(training, 1))
    with torch.no_grad():
        training.energy.centre.copy_(torch.tensor([-0.9, -0.3]))
    list(density(updates(training, 1), training, tmp_path, points(), 2, points=0))
    picture = pixels(tmp_path / "density/000002.png")[:, :, 0]
    _, columns = np.nonzero(picture == picture.min())
    assert columns.mean() > 192


def test_the_model_is_left_in_training_mode(tmp_path: Path):
    training = trainer(Bump())
    run(training, tmp_path, count=1, cells=4)
    assert all(module.training for module in training.model.modules())


@pytest.mark.parametrize("shape", [(3,), (1, 8, 8)], ids=str)
def test_data_not_in_the_plane_are_refused_at_the_call(shape: tuple[int, ...], tmp_path: Path):
    images = Examples(torch.zeros(4, *shape))
    with pytest.raises(UsageError, match=r"^data must be points in the plane") as caught:
        density(iter(()), trainer(Bump()), tmp_path, images, 1)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"every": -1}, {"cells": 1}, {"extent": 0.0}, {"points": -1}, {"temperature": math.nan}], ids=str
)
def test_settings_out_of_range_are_refused_at_the_call(settings: dict[str, Any], tmp_path: Path):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        density(iter(()), trainer(Bump()), tmp_path, points(), 1, **settings)
    assert "\n" not in str(caught.value)


def test_the_entry_point_names_parts_of_every_kind():
    (entry,) = entry_points(group="ebmkit", name="toys")
    module = entry.load()
    assert module.EBMKIT_PLUGIN_API == 2
    names = {}
    for hook in ("energies", "samplers", "inits", "datasets", "watchers", "features"):
        parts = getattr(module, hook)()
        names[hook] = list(parts)
        for target in parts.values():
            home, _, name = target.partition(":")
            assert callable(getattr(import_module(home), name))
    assert names == {
        "energies": ["funnel", "banana", "ring"],
        "samplers": ["metropolis"],
        "inits": ["stratified"],
        "datasets": ["checkerboard", "spirals", "pinwheel", "swiss_roll"],
        "watchers": ["density"],
        "features": ["polar"],
    }


def test_importing_the_plug_in_does_not_import_torch():
    code = "import sys, ebmkit_toys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_energy_of_states_is_not_drawn(tmp_path: Path):
    class Latent(Trainer):
        def short_run_of(self, networks: Any) -> Any:
            return replace(super().short_run_of(networks), decode=torch.tanh)

    training = trainer(Bump())
    training.__class__ = Latent
    with pytest.raises(UsageError, match="Latent has an energy of states, not of examples"):
        density(iter(()), training, tmp_path, points(), 5)
