"""`ebmkit sample`: what is drawn, and how it is written."""

import dataclasses
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import everything, invoked, refused, rng, same_picture, train

import ebmkit
from ebmkit.pictures import grid
from ebmkit.registry.lookup import register
from ebmkit.runs.model import load
from ebmkit.runs.samples import write_samples
from ebmkit.samplers.langevin import Langevin

pytestmark = pytest.mark.usefixtures("models")


def test_samples_are_the_model_s_in_every_kind_of_file():
    assert invoked("sample", "digits", "-n", "10", "--batch", "4", "--seed", "7", "--out", "a.npy") == ("a.npy\n", "")
    expected = load("digits").sample(10, rng(7), batch=4).numpy()
    found = np.load("a.npy")
    assert found.dtype == np.float32
    assert found.shape == (10, 1, 8, 8)
    assert np.array_equal(found, expected)
    invoked("sample", "digits", "-n", "10", "--batch", "4", "--seed", "7", "--out", "a.npz")
    with np.load("a.npz") as held:
        assert held.files == ["samples"]
        assert np.array_equal(held["samples"], expected)
    invoked("sample", "digits", "-n", "10", "--batch", "4", "--seed", "7", "--out", "a.png")
    assert same_picture(grid(torch.from_numpy(expected), columns=4), "a.png")


def test_64_samples_go_to_the_folder_of_the_run():
    assert invoked("sample", "digits") == ("digits/generated/samples.png\n", "")
    assert same_picture(grid(load("digits").sample(64, rng()), columns=8), "digits/generated/samples.png")
    assert sorted(path.name for path in Path("digits/generated").iterdir()) == ["samples.png"]


def test_points_are_drawn_as_a_cloud_of_4096():
    invoked("sample", "points")
    invoked("sample", "points", "--out", "points.npy")
    found = torch.from_numpy(np.load("points.npy"))
    assert found.shape == (4096, 2)
    assert same_picture(grid(found, columns=64), "points/generated/samples.png")
    invoked("sample", "points", "-n", "3", "--out", "three.npy")
    assert len(np.load("three.npy")) == 3


def test_values_that_cannot_be_drawn_can_be_written():
    invoked("sample", "rows", "-n", "3", "--out", "a.npy")
    assert np.load("a.npy").shape == (3, 5)


def test_values_outside_the_range_are_not_clipped():
    invoked("sample", "digits", "-n", "64", "--steps", "60", "--out", "a.npy")
    assert np.abs(np.load("a.npy")).max() > 1


def test_steps_replace_those_of_the_run():
    invoked("sample", "digits", "-n", "4", "--steps", "9", "--out", "a.npy")
    invoked("sample", "digits", "-n", "4", "--out", "b.npy")
    short = load("digits")
    longer = dataclasses.replace(short, sampler=Langevin(steps=9))
    assert np.array_equal(np.load("a.npy"), longer.sample(4, rng()).numpy())
    assert not np.array_equal(np.load("a.npy"), np.load("b.npy"))


class Endless(ebmkit.Sampler):
    """A sampler whose chains have no length of their own."""

    def chain(self, energy, x, rng):
        yield ebmkit.State(x, {})


def test_steps_for_a_sampler_without_them_are_refused():
    register("sampler", "endless", lambda: Endless())
    train("-s", "energy.width=4", "--sampler", "endless", "--batch-size", "8", "--iterations", "1", "--out", "a")
    assert "Endless has no setting `steps`" in refused("sample", "a", "--steps", "9")
    invoked("sample", "a", "-n", "2")


@pytest.mark.parametrize("weights", ["average", "last", "auto"])
def test_the_weights_can_be_chosen(weights):
    invoked("sample", "digits", "-n", "4", "--weights", weights, "--out", "a.npy")
    found = np.load("a.npy")
    average = load("digits", weights="average").sample(4, rng()).numpy()
    last = load("digits", weights="last").sample(4, rng()).numpy()
    assert not np.array_equal(average, last)
    assert np.array_equal(found, last if weights == "last" else average)


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    chunk = torch.zeros(16, 1, 128, 128)
    tracemalloc.start()
    write_samples((chunk for _ in range(64)), (1024, 1, 128, 128), tmp_path / "a.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "a.npy").stat().st_size > 64 * 1024**2
    assert peak < 24 * 1024**2


def test_samples_that_are_not_finite_are_warned_of(monkeypatch):
    x = torch.zeros(5, 1, 8, 8)
    x[1, 0, 3, 3], x[4, 0, 0, 0] = torch.nan, torch.inf
    monkeypatch.setattr(ebmkit.ShortRun, "samples", lambda self, n, rng, *, batch: iter([x[:2], x[2:]]))
    _, stderr = invoked("sample", "digits", "-n", "5", "--out", "a.npy")
    assert stderr == "warning: 2 of 5 samples hold NaN or infinity; in pictures they are red\n"


def test_after_an_error_the_old_file_stays(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"old")
    before = everything()

    def chunks():
        yield torch.zeros(2, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(chunks(), (4, 3), path)
    assert everything() == before


def test_force_replaces_a_file():
    Path("a.npy").write_text("old")
    invoked("sample", "digits", "-n", "2", "--out", "a.npy", "--force")
    assert np.load("a.npy").shape == (2, 1, 8, 8)


def test_drawing_does_not_change_the_run():
    before = {name: content for name, content in everything().items() if name.startswith("digits/")}
    invoked("sample", "digits", "-n", "2")
    invoked("interpolate", "digits", "--rows", "1", "--columns", "2")
    shutil.rmtree("digits/generated")
    assert {name: content for name, content in everything().items() if name.startswith("digits/")} == before
