"""Bad input to the commands of a trained model: one line, exit code 2, and nothing is written."""

import shutil
from pathlib import Path

import pytest
from commands import refused
from PIL import Image

pytestmark = pytest.mark.usefixtures("models")

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
    "image mode": (
        ("reconstruct", "digits", "deep.tif"),
        "deep.tif is of mode F: expected grey or colour of 8",
    ),
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
def test_bad_input_is_refused_in_one_line(case):
    words, message = BAD[case]
    if words[0] == "export":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    shutil.copytree("digits", "bare")
    for checkpoint in Path("bare").glob("checkpoint*.pt"):
        checkpoint.unlink()
    Path("last/generated").mkdir()
    Path("folder.png").mkdir()
    for name in ("there.npy", "there.safetensors", "last/generated/samples.png"):
        Path(name).touch()
    Image.new("RGB", (8, 9)).save("large.png")
    Image.new("F", (8, 8)).save("deep.tif")
    assert message in refused(*words)


@pytest.mark.parametrize("command", ["sample", "reconstruct", "interpolate", "long-run", "evaluate", "report"])
def test_a_name_that_no_file_can_have_is_refused(command):
    assert "File name too long" in refused(command, "n" * 300)
