"""The commands of a trained model: what they write and print, their exit codes, and what bad input gets."""

import builtins
import dataclasses
import inspect
import io
import json
import shutil
import subprocess
import sys
import tomllib
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import ebmkit
from ebmkit.evaluation.analysis import energies, neighbours, projected
from ebmkit.cli import opening, outputs, reconstruction, sampling
from commands import errors_in, everything, invoked, refused, rng, same_picture, train
from ebmkit.cli.options import CHOICES
from ebmkit.runs.model import load
from ebmkit.runs.samples import write_samples
from ebmkit.runs.training import resume_run
from ebmkit.pictures import beside, grid, pixels, strip
from ebmkit.cli.preview import half_blocks
from ebmkit.registry.lookup import register
from ebmkit.samplers.langevin import Langevin

pytestmark = pytest.mark.usefixtures("models")


def test_samples_are_those_of_the_model_and_do_not_depend_on_the_file():
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


def test_samples_go_to_the_run_s_folder_and_64_are_drawn():
    assert invoked("sample", "digits") == ("digits/generated/samples.png\n", "")
    assert same_picture(grid(load("digits").sample(64, rng()), columns=8), "digits/generated/samples.png")
    assert sorted(path.name for path in Path("digits/generated").iterdir()) == ["samples.png"]


def test_points_are_a_cloud_of_more_of_them():
    invoked("sample", "points")
    invoked("sample", "points", "--out", "points.npy")
    found = torch.from_numpy(np.load("points.npy"))
    assert found.shape == (4096, 2)
    assert same_picture(grid(found, columns=64), "points/generated/samples.png")
    invoked("sample", "points", "-n", "3", "--out", "three.npy")
    assert len(np.load("three.npy")) == 3


def test_numbers_that_cannot_be_drawn_can_be_written():
    invoked("sample", "rows", "-n", "3", "--out", "a.npy")
    assert np.load("a.npy").shape == (3, 5)


def test_values_outside_the_range_are_not_cut_off():
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


def test_a_sampler_without_steps_says_so():
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


def test_samples_are_written_through_a_file_so_that_memory_does_not_grow_with_them(tmp_path):
    chunk = torch.zeros(16, 1, 128, 128)
    tracemalloc.start()
    write_samples((chunk for _ in range(64)), (1024, 1, 128, 128), tmp_path / "a.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "a.npy").stat().st_size > 64 * 1024**2
    assert peak < 24 * 1024**2


def test_samples_that_left_the_numbers_are_told_of(monkeypatch):
    x = torch.zeros(5, 1, 8, 8)
    x[1, 0, 3, 3], x[4, 0, 0, 0] = torch.nan, torch.inf
    monkeypatch.setattr(ebmkit.ShortRun, "samples", lambda self, n, rng, *, batch: iter([x[:2], x[2:]]))
    _, stderr = invoked("sample", "digits", "-n", "5", "--out", "a.npy")
    assert stderr == "warning: 2 of 5 samples hold NaN or infinity; in pictures they are red\n"


def test_after_an_error_nothing_is_left_and_the_old_file_stays(tmp_path):
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


def test_drawing_leaves_the_run_as_it_was():
    before = {name: content for name, content in everything().items() if name.startswith("digits/")}
    invoked("sample", "digits", "-n", "2")
    invoked("interpolate", "digits", "--rows", "1", "--columns", "2")
    shutil.rmtree("digits/generated")
    assert {name: content for name, content in everything().items() if name.startswith("digits/")} == before




def test_examples_of_the_data_are_reconstructed_beside_yardsticks():
    words = ("reconstruct", "digits", "-n", "3", "--updates", "12", "--lr", "0.2", "--seed", "5")
    stdout, stderr = invoked(*words)
    assert stdout == "digits/generated/reconstruction.png\n"
    examples = resume_run("digits").examples
    indices = torch.randperm(40, generator=rng(5))[:3].sort().values
    named = ", ".join(map(str, indices.tolist()))
    assert stderr.splitlines()[0] == f"3 of 40 examples of the data, drawn by seed 5: {named}"
    x, every = examples.fetch(indices), examples.fetch(torch.arange(40))
    found = load("digits").reconstruct(x, rng(5), updates=12, lr=0.2, at=(0, 10, 12))
    others = [torch.cat([every[:i], every[i + 1 :]]) for i in indices.tolist()]
    nearest = [(other - one).square().flatten(1).mean(1).min() for one, other in zip(x, others, strict=True)]
    expected = {f"t={t}": found.error[t].mean() for t in (0, 10, 12)} | {
        "mean of the data": (x - every.mean(0)).square().mean(),
        "nearest in the data": torch.stack(nearest).mean(),
        "32 components": (projected(x, examples) - x).square().mean(),
    }
    assert errors_in(stderr) == pytest.approx({name: float(value) for name, value in expected.items()}, abs=6e-6)
    columns = {"original": x, **{f"t={t}": found.kept[t] for t in (0, 10, 12)}}
    sheet = beside({caption: grid(tiles, columns=1) for caption, tiles in columns.items()})
    assert same_picture(sheet, "digits/generated/reconstruction.png")


@pytest.mark.parametrize("words", [("--method", "adam"), ("--gradient", "full"), ("--weights", "last")])
def test_the_settings_of_a_reconstruction_reach_it(words):
    _, stderr = invoked("reconstruct", "digits", "-n", "2", "--updates", "3", *words)
    _, usual = invoked("reconstruct", "digits", "-n", "2", "--updates", "3", "--out", "b.png")
    given = {words[0].removeprefix("--"): words[1]}
    short = load("digits", weights=given.pop("weights", "auto"))  # type: ignore[arg-type]
    x = resume_run("digits").examples.fetch(torch.randperm(40, generator=rng())[:2].sort().values)
    found = short.reconstruct(x, rng(), updates=3, **given)  # type: ignore[arg-type]
    assert errors_in(stderr)["t=3"] == pytest.approx(float(found.error[3].mean()), abs=6e-6)
    if "--gradient" not in words:
        assert errors_in(stderr) != errors_in(usual)


def test_the_defaults_of_a_reconstruction_are_those_of_the_library():
    ours, theirs = (
        inspect.signature(of).parameters for of in (reconstruction.reconstruct, ebmkit.ShortRun.reconstruct)
    )
    for name in ("updates", "lr", "method", "gradient"):
        assert ours[name].default == theirs[name].default


def test_images_of_files_are_reconstructed_and_broken_ones_named_at_exit_1():
    shown = pixels(resume_run("digits").examples.fetch(torch.tensor([3, 4])))
    x = torch.from_numpy(shown[:, None, :, :, 0]) / 127.5 - 1
    for index, image in enumerate(shown):
        Image.fromarray(image[..., 0]).save(f"{index}.png")
    Path("torn.png").write_bytes(Path("0.png").read_bytes()[:30])
    stdout, stderr = invoked(
        "reconstruct", "digits", "0.png", "torn.png", "1.png", "--updates", "2", "--data", "digits", code=1
    )
    assert stdout == "digits/generated/reconstruction.png\n"
    assert stderr.startswith("error: cannot read the image torn.png: ")
    assert stderr.endswith("error: 1 of 3 image files could not be used\n")
    found = load("digits").reconstruct(x, rng(), updates=2)
    assert errors_in(stderr)["t=2"] == pytest.approx(float(found.error[2].mean()), abs=6e-6)
    nearest = neighbours(x, resume_run("digits").examples, count=2).distance[:, 1].square().mean() / 64
    assert errors_in(stderr)["nearest in the data"] == pytest.approx(float(nearest), abs=6e-6)
    assert nearest > 0.01  # the second: the first is the image itself, but for the rounding to bytes


def test_images_of_another_size_can_be_fitted():
    Image.new("RGB", (20, 12), (90, 200, 10)).save("large.png")
    assert "fit=resize" in refused("reconstruct", "digits", "large.png")
    invoked("reconstruct", "digits", "large.png", "--fit", "resize", "--updates", "1")


def test_points_are_reconstructed_as_clouds():
    _, stderr = invoked("reconstruct", "points", "--updates", "1")
    assert stderr.startswith("100 of 100 examples of the data, drawn by seed 0: 0, 1, 2, ")
    assert ", 15, ...\n" in stderr


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


def test_an_interpolation_between_two_images_goes_from_the_one_reconstruction_to_the_other():
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


def test_an_interpolation_takes_two_images_that_can_be_read_or_none():
    Image.new("L", (8, 8)).save("0.png")
    Path("torn.png").write_bytes(b"x")
    assert "takes two image files and then no --rows; given: 1 files" in refused("interpolate", "digits", "0.png")
    assert "no --rows" in refused("interpolate", "digits", "0.png", "0.png", "--rows", "2")
    assert "cannot read the image torn.png" in refused("interpolate", "digits", "0.png", "torn.png")
    assert "--fit is for image files" in refused("interpolate", "digits", "--fit", "pad")


def test_an_interpolation_is_5_rows_of_10():
    invoked("interpolate", "digits")
    with Image.open("digits/generated/interpolation.png") as sheet:
        assert sheet.height == beside({"1": grid(torch.zeros(5, 1, 8, 8), 1)}).height
        assert sheet.width == beside({f"{k / 9:.4g}": grid(torch.zeros(1, 1, 8, 8), 1) for k in range(10)}).width


def test_a_long_run_tells_the_energy_along_the_way():
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


def test_exported_weights_load_back_equal():
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    from safetensors import safe_open
    from safetensors.torch import load_file

    run = resume_run("digits")
    assert run.trainer.averaged is not None
    for weights, network in {"auto": run.trainer.averaged.module, "last": run.trainer.energy}.items():
        assert (
            invoked("export", "digits", f"{weights}.safetensors", "--weights", weights)[0] == f"{weights}.safetensors\n"
        )
        found = load_file(f"{weights}.safetensors")
        expected = {f"energy.{name}": value for name, value in network.state_dict().items()}
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    with safe_open("auto.safetensors", "pt") as file:
        facts = file.metadata()
    assert facts["ebmkit"] == ebmkit.__version__
    assert tomllib.loads(facts["config"]) == tomllib.loads(Path("digits/config.toml").read_text())
    assert (json.loads(facts["shape"]), facts["weights"], facts["updates"]) == ([1, 8, 8], "average", "3")
    invoked("export", "last", "last-run.safetensors")
    with safe_open("last-run.safetensors", "pt") as file:
        assert file.metadata()["weights"] == "last"


def test_export_without_safetensors_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "write: pip install 'shortrun-ebmkit[export]'" in refused("export", "digits", "a.safetensors")




BAD = {
    "no run": (("sample", "nope"), "nope is not the folder of a run: it has no config.toml"),
    "no checkpoint": (("sample", "bare"), "bare has no checkpoint.pt: the run cannot be resumed"),
    "no run to export": (("export", "nope", "a.safetensors"), "nope is not the folder of a run"),
    "none": (("sample", "digits", "-n", "0"), "n must be at least 1, not 0"),
    "negative": (("long-run", "digits", "-n", "-1"), "n must be at least 1, not -1"),
    "none to reconstruct": (("reconstruct", "digits", "-n", "0"), "n must be at least 1, not 0"),
    "more than there are": (("reconstruct", "digits", "-n", "41"), "n must be at least 1 and at most 40, not 41"),
    "both": (("reconstruct", "digits", "a.png", "-n", "3"), "leave it out with image files"),
    "nothing to fit": (("reconstruct", "digits", "--fit", "pad"), "--fit is for image files, and none are given"),
    "no image": (("reconstruct", "digits", "a.png"), "no such file: a.png"),
    "image size": (("reconstruct", "digits", "large.png"), "large.png has shape (3, 9, 8), expected (1, 8, 8)"),
    "image mode": (("reconstruct", "digits", "deep.tif"), "deep.tif is an image of mode F"),
    "no updates": (("reconstruct", "digits", "--updates", "-1"), "updates must be at least 0, not -1"),
    "rate": (("reconstruct", "digits", "--lr", "0"), "lr must be above 0, not 0.0"),
    "method": (("reconstruct", "digits", "--method", "adams"), "--method must be descent or adam, not 'adams'."),
    "gradient": (("reconstruct", "digits", "--gradient", "x"), "--gradient must be auto or translation or full"),
    "fit": (("reconstruct", "digits", "--fit", "crop"), "--fit must be none or pad or resize, not 'crop'."),
    "not exact": (("reconstruct", "points", "--gradient", "translation"), "write 'full' or 'auto'"),
    "steps": (("sample", "digits", "--steps", "0"), "steps must be at least 1, not 0"),
    "batch": (("sample", "digits", "--batch", "0"), "batch must be at least 1, not 0"),
    "seed": (("sample", "digits", "--seed", "-1"), "seed must be at least 0 and below"),
    "large seed": (("sample", "digits", "--seed", str(2**64)), "seed must be at least 0 and below"),
    "device": (("sample", "digits", "--device", "gpu"), "'gpu' is not on this machine"),
    "weights": (("sample", "digits", "--weights", "averge"), "Did you mean 'average'?"),
    "weights to export": (("export", "digits", "a.safetensors", "--weights", "ema"), "--weights must be auto or"),
    "no average": (("interpolate", "last", "--weights", "average"), "last has no 'average' weights, only last"),
    "existing": (("sample", "digits", "--out", "there.npy"), "there.npy exists; replace it by --force"),
    "existing in the run": (("sample", "last"), "last/generated/samples.png exists; replace it by --force"),
    "existing export": (("export", "digits", "there.safetensors"), "there.safetensors exists; replace it"),
    "no folder": (("sample", "digits", "--out", "no/a.png"), "there is no folder no; make it: mkdir -p no"),
    "a folder": (("sample", "digits", "--out", "folder.png", "--force"), "folder.png: it is a folder"),
    "suffix": (("sample", "digits", "--out", "a.jpg"), "a.jpg: its name must end in .png or .npy or .npz"),
    "sheet suffix": (("interpolate", "digits", "--out", "a.npy"), "a.npy: its name must end in .png"),
    "export suffix": (("export", "digits", "a.pt"), "a.pt: its name must end in .safetensors"),
    "no picture": (("sample", "rows"), "write: ebmkit sample RUN --out FILE.npy"),
    "no preview": (("sample", "rows", "--out", "a.npy", "--show"), "examples of shape (5,) cannot be drawn"),
    "no sheet": (("interpolate", "rows"), "examples of shape (5,) cannot be drawn"),
    "columns": (("interpolate", "digits", "--columns", "1"), "columns must be at least 2, not 1"),
    "rows": (("interpolate", "digits", "--rows", "0"), "rows must be at least 1, not 0"),
    "times": (("long-run", "digits", "--times", "0"), "times must be at least 1, not 0"),
    "every": (("long-run", "digits", "--every", "-1"), "every must be at least 1, not -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_exit_2_and_nothing_is_written(case):
    words, message = BAD[case]
    if words[0] == "export":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    shutil.copytree("digits", "bare")
    Path("bare/checkpoint.pt").unlink()
    Path("last/generated").mkdir()
    Path("folder.png").mkdir()
    for name in ("there.npy", "there.safetensors", "last/generated/samples.png"):
        Path(name).touch()
    Image.new("RGB", (8, 9)).save("large.png")
    Image.new("F", (8, 8)).save("deep.tif")
    assert message in refused(*words)


def terminal(monkeypatch, **settings: Any) -> io.StringIO:
    """Make stderr a terminal, and return what is written there."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, soft_wrap=True, highlight=False, emoji=False, **settings)
    for module in (opening, outputs):
        monkeypatch.setattr(module, "err", lambda: console)
    return written


@pytest.mark.parametrize("words", [("sample", "-n", "2"), ("reconstruct", "-n", "2", "--updates", "1")])
def test_elsewhere_than_in_a_terminal_there_is_no_preview(words):
    _, stderr = invoked(words[0], "digits", *words[1:], "--show")
    assert stderr.splitlines()[-1] == "no preview: stderr is no terminal"


def test_a_terminal_without_colours_has_no_preview(monkeypatch):
    terminal(monkeypatch, color_system=None)
    assert invoked("sample", "digits", "-n", "2", "--show")[1] == "no preview: this terminal has no colours\n"


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "--out", "a.npy"),
        ("reconstruct", "-n", "2", "--updates", "1"),
        ("interpolate", "--columns", "2"),
        ("long-run", "--times", "1"),
    ],
)
def test_a_preview_is_shown_in_a_terminal_and_stdout_stays_clean(words, monkeypatch):
    written = terminal(monkeypatch, color_system="truecolor", width=40)
    stdout, _ = invoked(words[0], "digits", *words[1:], "--show")
    lines = written.getvalue().splitlines()
    assert lines
    assert max(line.count("▀") for line in lines) <= 40
    assert "\x1b[38;2;" in lines[0]
    assert stdout.count("\n") == 1


def test_half_blocks_carry_two_pixels_each():
    picture = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3))
    found = list(half_blocks(picture, 80).segments)
    assert [segment.text for segment in found] == ["▀", "▀", "▀", "▀", "\n"] * 2
    seen = found[1].style
    assert seen is not None
    assert seen.color is not None
    assert seen.bgcolor is not None
    assert (tuple(seen.color.triplet or ()), tuple(seen.bgcolor.triplet or ())) == ((3, 4, 5), (15, 16, 17))
    last = found[5].style
    assert last is not None
    assert last.color == last.bgcolor


def test_half_blocks_shrink_to_the_terminal_by_means():
    picture = Image.fromarray(np.array([[0, 200, 50, 50]] * 8, dtype=np.uint8))
    found = list(half_blocks(picture, 3).segments)
    assert [segment.text for segment in found] == ["▀", "▀", "\n"] * 2
    assert [str(segment.style) for segment in found[:2]] == ["#646464 on #646464", "#323232 on #323232"]


def test_a_short_wait_is_not_told_of():
    assert invoked("sample", "digits", "-n", "2", "--out", "a.npy")[1] == ""


def test_a_long_wait_is_told_in_plain_lines(monkeypatch):
    monkeypatch.setattr(opening, "SILENCE", 0.0)
    _, stderr = invoked("sample", "digits", "-n", "5", "--batch", "2", "--out", "a.npy")
    assert [line.split()[0] for line in stderr.splitlines()] == [f"passes={count}/9" for count in range(1, 10)]


@pytest.mark.parametrize(
    ("words", "total"),
    [
        (("reconstruct", "digits", "-n", "2", "--updates", "4"), 15),
        (("interpolate", "digits", "--columns", "4"), 12),
        (("long-run", "digits", "--times", "5"), 15),
    ],
)
def test_the_passes_of_every_command_are_counted(words, total, monkeypatch):
    monkeypatch.setattr(opening, "SILENCE", 0.0)
    lines = [line for line in invoked(*words)[1].splitlines() if line.startswith("passes=")]
    assert lines[-1].startswith(f"passes={total}/{total} ")


def test_a_long_wait_in_a_terminal_is_a_bar(monkeypatch):
    monkeypatch.setattr(opening, "PATIENCE", 0.0)
    written = terminal(monkeypatch, color_system="truecolor", width=80)
    stdout, _ = invoked("long-run", "digits", "-n", "2", "--times", "2", "--json")
    assert "passes through the energy" in written.getvalue()
    assert [json.loads(line).get("step") for line in stdout.splitlines()] == [0, 3, 6, None]


def test_following_changes_nothing():
    short = load("digits")
    with opening.followed(short, 1) as followed:
        assert followed.translates
        assert torch.equal(followed.sample(3, rng()), short.sample(3, rng()))
        x = short.init.sample(2, rng())
        assert torch.equal(followed.energy(x), energies(short.energy, x))


def test_words_of_an_option_are_completed():
    for name, words in CHOICES.items():
        complete = reconstruction.choice(name, "").autocompletion
        assert complete("") == list(words)
        assert complete(words[-1][:2]) == [words[-1]]


def test_help_costs_no_torch():
    code = (
        "import sys, typer\n"
        "from typer.testing import CliRunner\n"
        "from ebmkit.cli import reconstruction, sampling\n"
        "for command in (sampling.sample, sampling.interpolate, sampling.long_run, sampling.export,"
        " reconstruction.reconstruct):\n"
        "    app = typer.Typer(rich_markup_mode=None)\n"
        "    app.command()(command)\n"
        "    result = CliRunner().invoke(app, ['--help'])\n"
        "    assert result.exit_code == 0 and 'RUN' in result.stdout, result.stdout\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
