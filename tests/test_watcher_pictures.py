"""The watcher that draws samples and chains."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from small_trainings import SHAPE, examples, made_up, rng, trainer, updates_of
from torch import nn

from ebmkit.data.examples import Examples
from ebmkit.inits.uniform import Uniform
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.pictures import beside, grid
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun
from ebmkit.watchers import draw_pictures, scalars_of


def draw(training: Trainer, folder: Path, iterations: int, **settings: Any) -> list[int]:
    updates = map(made_up, range(1, iterations + 1))
    assert len(list(draw_pictures(updates, training, folder, examples(), iterations, **settings))) == iterations
    return sorted(int(path.stem) for path in (folder / "samples").glob("*.png"))


@pytest.mark.parametrize(
    ("every", "drawn"), [(None, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 21]), (0, []), (9, [9, 18, 21])]
)
def test_pictures_are_drawn_at_every_nth_and_the_last(every, drawn, tmp_path):
    assert draw(trainer(Langevin(steps=1)), tmp_path, 21, every=every, count=1, chains=1) == drawn
    assert sorted(int(path.stem) for path in (tmp_path / "chains").glob("*.png")) == drawn


def test_pictures_show_examples_samples_and_chains(tmp_path):
    assert draw(trainer(), tmp_path, 2, every=2, count=4, chains=3) == [2]
    with Image.open(tmp_path / "samples" / "000002.png") as sheet, Image.open(tmp_path / "chains" / "000002.png") as s:
        # Two panels of two by two tiles of 48 pixels; five columns of three tiles.
        assert sheet.height == 18 + 2 * 48 + 2 + 16
        assert s.size == (5 * 48 + 6 * 16, 18 + 3 * 48 + 2 * 2 + 16)
        assert len(sheet.getcolors()) > 20


def test_a_trace_has_five_evenly_spaced_steps():
    short = ShortRun(trainer().energy, Langevin(steps=20), Uniform(SHAPE))
    end, trajectory = short.trace(6, rng(2), rows=4)
    draws = rng(2)
    start = short.init.sample(6, draws)
    assert list(trajectory) == [0, 5, 10, 15, 20]
    assert torch.equal(trajectory[0], start[:4])
    assert torch.equal(trajectory[20], end[:4])
    assert torch.equal(end, short.sampler.sample(short.energy, start, draws))


def test_pictures_are_of_the_averaged_model(tmp_path):
    training = trainer(average=0.5)
    list(draw_pictures(updates_of(training, 3), training, tmp_path, examples(), 3, every=3, count=4, chains=2))
    real = examples().fetch(torch.randint(50, (4,), generator=rng()))

    def sheet(energy: nn.Module) -> Image.Image:
        samples, _ = ShortRun(energy, training.sampler, training.init).trace(4, rng(), rows=2)
        return beside({"real": grid(real, 2), "samples, update 3": grid(samples, 2)})

    with Image.open(tmp_path / "samples" / "000003.png") as drawn:
        assert drawn.convert("RGB") == sheet(training.model)
        assert drawn.convert("RGB") != sheet(training.energy)


def test_pictures_of_points_are_clouds(tmp_path):
    training = trainer(shape=(2,))
    points = Examples(torch.randn(80, 2, generator=rng(1)))
    list(draw_pictures(updates_of(training, 1, (2,)), training, tmp_path, points, 1, count=1, chains=1))
    with Image.open(tmp_path / "samples" / "000001.png") as sheet:
        assert sheet.size == (2 * 288 + 3 * 16, 18 + 288 + 16)


def test_nothing_is_drawn_for_other_examples(tmp_path):
    training = trainer(shape=(5,))
    updates = draw_pictures(updates_of(training, 2, (5,)), training, tmp_path, examples((5,)), 2, every=1)
    assert len(list(updates)) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [{}, {"average": 0.9}], ids=["plain", "averaged"])
def test_drawing_does_not_change_the_training(settings, tmp_path):
    scalars, ends = [], []
    for every in (0, 1):
        training = trainer(**settings)
        watched = draw_pictures(
            updates_of(training, 4), training, tmp_path, examples(), 4, every=every, count=4, chains=2
        )
        scalars.append([scalars_of(update) for update in watched])
        ends.append(training.state_dict())
    assert len(list(tmp_path.glob("*/*.png"))) == 8
    assert scalars[0] == scalars[1]
    for part in ("energy", "average", "init"):
        assert all(torch.equal(value, ends[1][part][key]) for key, value in ends[0][part].items())
    assert torch.equal(ends[0]["rng"], ends[1]["rng"])
