"""`ebmkit reconstruct`."""

import inspect
from pathlib import Path

import pytest
import torch
from commands import errors_in, invoked, refused, rng, same_picture
from PIL import Image

import ebmkit
from ebmkit.cli import reconstruction
from ebmkit.evaluation.nearest import nearest_examples, pca_reconstruction
from ebmkit.pictures import beside, grid, pixels
from ebmkit.runs.model import load
from ebmkit.runs.training import resume_run

pytestmark = pytest.mark.usefixtures("models")


def test_examples_are_reconstructed_beside_baselines():
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
        "32 principal components": (pca_reconstruction(x, examples) - x).square().mean(),
    }
    assert errors_in(stderr) == pytest.approx({name: float(value) for name, value in expected.items()}, abs=6e-6)
    columns = {"original": x, **{f"t={t}": found.kept[t] for t in (0, 10, 12)}}
    sheet = beside({caption: grid(tiles, columns=1) for caption, tiles in columns.items()})
    assert same_picture(sheet, "digits/generated/reconstruction.png")


@pytest.mark.parametrize("words", [("--method", "adam"), ("--gradient", "full"), ("--weights", "last")])
def test_the_options_reach_the_reconstruction(words):
    _, stderr = invoked("reconstruct", "digits", "-n", "2", "--updates", "3", *words)
    _, usual = invoked("reconstruct", "digits", "-n", "2", "--updates", "3", "--out", "b.png")
    given = {words[0].removeprefix("--"): words[1]}
    short = load("digits", weights=given.pop("weights", "auto"))  # type: ignore[arg-type]
    x = resume_run("digits").examples.fetch(torch.randperm(40, generator=rng())[:2].sort().values)
    found = short.reconstruct(x, rng(), updates=3, **given)  # type: ignore[arg-type]
    assert errors_in(stderr)["t=3"] == pytest.approx(float(found.error[3].mean()), abs=6e-6)
    if "--gradient" not in words:
        assert errors_in(stderr) != errors_in(usual)


def test_the_defaults_are_those_of_the_library():
    ours, theirs = (
        inspect.signature(of).parameters for of in (reconstruction.reconstruct, ebmkit.ShortRun.reconstruct)
    )
    for name in ("updates", "lr", "method", "gradient"):
        assert ours[name].default == theirs[name].default


def test_broken_image_files_are_named_and_exit_1():
    shown = pixels(resume_run("digits").examples.fetch(torch.tensor([3, 4])))
    x = torch.from_numpy(shown[:, None, :, :, 0]) / 127.5 - 1
    for index, image in enumerate(shown):
        Image.fromarray(image[..., 0]).save(f"{index}.png")
    Path("torn.png").write_bytes(Path("0.png").read_bytes()[:30])
    stdout, stderr = invoked(
        "reconstruct", "digits", "0.png", "torn.png", "1.png", "--updates", "2", "--data", "digits", code=1
    )
    assert stdout == "digits/generated/reconstruction.png\n"
    assert stderr.startswith("error: cannot read torn.png: ")
    assert stderr.endswith("error: 1 of 3 image files could not be used\n")
    found = load("digits").reconstruct(x, rng(), updates=2)
    assert errors_in(stderr)["t=2"] == pytest.approx(float(found.error[2].mean()), abs=6e-6)
    nearest = nearest_examples(x, resume_run("digits").examples, count=2).distance[:, 1].square().mean() / 64
    assert errors_in(stderr)["nearest in the data"] == pytest.approx(float(nearest), abs=6e-6)
    assert nearest > 0.01  # the second nearest: the nearest is the image itself, up to rounding to bytes


def test_images_of_another_size_can_be_fitted():
    Image.new("RGB", (20, 12), (90, 200, 10)).save("large.png")
    message = refused("reconstruct", "digits", "large.png")
    assert "fit it with --fit pad or --fit resize" in message
    assert "fit=" not in message
    invoked("reconstruct", "digits", "large.png", "--fit", "resize", "--updates", "1")


def test_points_are_reconstructed_as_clouds():
    _, stderr = invoked("reconstruct", "points", "--updates", "1")
    assert stderr.startswith("100 of 100 examples of the data, drawn by seed 0: 0, 1, 2, ")
    assert ", 15, ...\n" in stderr
    assert "\nmean squared error per coordinate after t updates of the starts:\n" in stderr
    assert set(errors_in(stderr)) == {"t=0", "t=1", "mean of the data", "nearest in the data"}


def test_images_are_compared_with_data_that_are_named():
    Image.new("L", (8, 8), 90).save("grey.png")
    words = ("reconstruct", "digits", "grey.png", "--updates", "1", "--force")
    assert "nearest in the data" not in errors_in(invoked(*words)[1])
    for options in (("--data", "digits"), ("-s", "data.limit=40")):
        assert "nearest in the data" in errors_in(invoked(*words, *options)[1])
