"""Every command works on runs of both methods: on digits, and in the plane, where z and x have one shape."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ebmkit_latent.drawing import LatentShortRun
from PIL import Image
from typer.testing import CliRunner

from ebmkit.cli.main import app

DENSE = ("width=8", "depth=1")
SETTINGS = {
    "latent-ebm": (),
    "damc": (
        "method.embedding=4",
        "method.width=4",
        "method.denoising_steps=4",
        "method.distillations=2",
        "method.target_every=2",
        "encoder.use=dense",
        *(f"encoder.{one}" for one in DENSE),
    ),
}
COMMON = (
    "method.latent=2",
    "energy.width=8",
    "generator.use=dense",
    *(f"generator.{one}" for one in DENSE),
    "sampler.steps=4",
    "posterior.steps=3",
    "train.batch_size=12",
    "train.threads=1",
    "train.average=0.5",
    "watch.checkpoints.every=2",
)


def invoked(*words: Any) -> str:
    """What a command prints to stdout; it must end well."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output + done.stderr
    return done.stdout


def trained(folder: Path, method: str, data: str, *more: str, pictures: int = 0, iterations: int = 4) -> None:
    settings = [
        word
        for pair in (*COMMON, *SETTINGS[method], *more, f"watch.pictures.every={pictures}")
        for word in ("-s", pair)
    ]
    words = (
        "--method",
        method,
        "--data",
        data,
        "--iterations",
        iterations,
        "--out",
        folder,
        "--quiet",
        "--device",
        "cpu",
    )
    invoked("train", *words, *settings)


@pytest.mark.parametrize(("method", "data"), [("latent-ebm", "gaussians"), ("damc", "digits")])
def test_every_command_works(tmp_path, monkeypatch, method, data):
    run, file = tmp_path / "run", tmp_path / "model.safetensors"
    report = ("watch.report.every=4", "watch.report.reconstruction_updates=2") if data == "gaussians" else ()
    trained(run, method, data, *report, pictures=4)
    assert (run / "samples" / "000004.png").is_file()
    if report:
        assert "examples have no energy of their own" in (run / "report.html").read_text(encoding="utf-8")
    scalars = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert {"gap", "reconstruction", "posterior_displacement"} <= set(scalars)
    assert ("denoising" in scalars) == (method == "damc")
    invoked("export", run, file)
    for place, out in ((run, tmp_path / "x.npy"), (file, tmp_path / "y.npy")):
        invoked("sample", place, "-n", 5, "--out", out)
    x = np.load(tmp_path / "x.npy")
    assert x.shape == (5, *((1, 8, 8) if data == "digits" else (2,)))
    assert np.array_equal(x, np.load(tmp_path / "y.npy"))
    invoked("interpolate", run, "--rows", 2, "--columns", 3, "--out", tmp_path / "i.png")
    invoked("long-run", run, "-n", 3, "--times", 2, "--out", tmp_path / "l.png")
    invoked("reconstruct", run, "-n", 2, "--updates", 7, "--out", tmp_path / "r.png")
    found = json.loads(invoked("evaluate", run, "-n", 40, "--json"))
    values = {one["name"].partition(" (")[0]: one["value"] for one in found["measures"]}
    assert np.isfinite(values["Energy distance"])
    if method == "damc":
        invoked("sample", run, "-n", 5, "-s", "method.draw=chain", "--out", tmp_path / "c.npy")
        assert not np.array_equal(x, np.load(tmp_path / "c.npy"))
        images_are_interpolated_by_decoding_what_was_inferred(run, tmp_path, monkeypatch)
        trained(tmp_path / "resumed", method, data, iterations=2)
        invoked("train", "--resume", tmp_path / "resumed", "--iterations", 4, "--quiet")
        invoked("sample", tmp_path / "resumed", "-n", 5, "--out", tmp_path / "z.npy")
        assert np.array_equal(x, np.load(tmp_path / "z.npy"))


def images_are_interpolated_by_decoding_what_was_inferred(run: Path, place: Path, monkeypatch: Any) -> None:
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{index}.png")
    with monkeypatch.context() as patched:
        patched.setattr(LatentShortRun, "generate", None)  # no chain from what was inferred
        invoked("interpolate", run, place / "0.png", place / "1.png", "--out", place / "j.png")
