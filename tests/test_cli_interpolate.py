"""`ebmkit interpolate` and `ebmkit long-run`."""

import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import invoked, refused, rng, same_picture
from PIL import Image

from ebmkit.evaluation import energies
from ebmkit.pictures import beside, grid, strip
from ebmkit.runs.model import load
from ebmkit.shortrun import ShortRun
from ebmkit.trajectories import Point

pytestmark = pytest.mark.usefixtures("models")


def test_interpolations_are_rows_from_one_start_to_another():
    assert invoked("interpolate", "digits", "--rows", "2", "--columns", "3", "--seed", "4") == (
        "digits/generated/interpolation.png\n",
        "",
    )
    short, draws = load("digits"), rng(4)
    z1, z2 = short.init.sample(2, draws), short.init.sample(2, draws)
    first, middle, last = short.interpolate(z1, z2, 3)
    assert torch.equal(first, short.generate(z1))
    sheet = beside({"1": grid(first, 1), "0.5": grid(middle, 1), "0": grid(last, 1)})
    assert same_picture(sheet, "digits/generated/interpolation.png")


def test_images_are_interpolated_between_reconstructions():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    for index, image in enumerate(images):
        Image.fromarray(image).save(f"{index}.png")
    invoked("interpolate", "digits", "0.png", "1.png", "--columns", "3")
    short, draws = load("digits"), rng(0)
    found = short.reconstruct(torch.from_numpy(images).unsqueeze(1) / 127.5 - 1, draws)
    way = short.interpolate(found.z[:1], found.z[1:], 3)
    torch.testing.assert_close(way[0], found.x[:1])
    torch.testing.assert_close(way[2], found.x[1:])
    sheet = beside({caption: grid(x, 1) for caption, x in zip(("1", "0.5", "0"), way, strict=True)})
    assert same_picture(sheet, "digits/generated/interpolation.png")


def test_an_interpolation_takes_two_readable_images_or_none():
    Image.new("L", (8, 8)).save("0.png")
    Path("torn.png").write_bytes(b"x")
    assert "takes two image files and then no --rows; given: 1 files" in refused("interpolate", "digits", "0.png")
    assert "no --rows" in refused("interpolate", "digits", "0.png", "0.png", "--rows", "2")
    assert "cannot read torn.png" in refused("interpolate", "digits", "0.png", "torn.png")
    assert "--fit is for image files" in refused("interpolate", "digits", "--fit", "pad")


def test_an_interpolation_is_5_rows_of_10():
    invoked("interpolate", "digits")
    with Image.open("digits/generated/interpolation.png") as sheet:
        assert sheet.height == beside({"1": grid(torch.zeros(5, 1, 8, 8), 1)}).height
        assert sheet.width == beside({f"{k / 9:.4g}": grid(torch.zeros(1, 1, 8, 8), 1) for k in range(10)}).width


def test_a_long_run_prints_the_energy_along_the_chains():
    stdout, stderr = invoked("long-run", "digits", "-n", "2", "--times", "3", "--json", "--seed", "2")
    short = load("digits")
    points = list(short.long_run(2, rng(2), times=3))
    expected = [(point.step, float(energies(short.energy, point.x).mean())) for point in points]
    assert [step for step, _ in expected] == [0, 3, 6, 9]
    assert stderr.splitlines() == [f"step={step} energy={energy:.4f}" for step, energy in expected]
    *lines, last = map(json.loads, stdout.splitlines())
    assert [(line["schema"], line["step"]) for line in lines] == [(2, step) for step, _ in expected]
    assert [line["energy"] for line in lines] == pytest.approx([energy for _, energy in expected])
    assert last == {"schema": 2, "file": "digits/generated/long-run.png"}
    assert same_picture(strip({point.step: point.x for point in points}), "digits/generated/long-run.png")


def test_a_long_run_in_small_steps_is_drawn_in_few_columns():
    stdout, stderr = invoked("long-run", "digits", "-n", "2", "--times", "3", "--every", "1", "--seed", "2")
    assert stdout == "digits/generated/long-run.png\n"
    assert [line.split()[0] for line in stderr.splitlines()] == [f"step={step}" for step in range(10)]
    points = load("digits").long_run(2, rng(2), times=3)
    assert same_picture(strip({point.step: point.x for point in points}), "digits/generated/long-run.png")


def test_a_long_run_keeps_only_what_it_draws(monkeypatch):
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    def points(self, n, rng, *, times, every):
        nonlocal most
        for step in range(1, 1 + 3 * times):
            x = torch.zeros(n, 1, 8, 8)
            alive.add(x)
            most = max(most, len(alive))
            yield Point(step, x, None, x)
            del x

    monkeypatch.setattr(ShortRun, "long_run", points)
    invoked("long-run", "digits", "-n", "1", "--times", "20", "--every", "1")
    assert most <= 23


@pytest.mark.parametrize("words", [("--times", "0"), ("--every", "0"), ("-n", "0")])
def test_a_long_run_without_steps_is_refused(words):
    assert "must be at least 1, not 0" in refused("long-run", "digits", *words)
