"""A model is its folder, or one file: drawing from it needs neither data nor their package."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from commands import invoked
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from training_runs import trained

import ebmkit
from ebmkit.errors import UsageError
from ebmkit.runs.model import pick_weights, read_model
from ebmkit.runs.model_file import write_model_file

pytestmark = pytest.mark.usefixtures("built_in_parts_only")
THREE = {"train.iterations": "3"}


def exported(place, path):
    saved = read_model(place)
    write_model_file(saved, pick_weights(saved, "auto"), path)
    return path


@pytest.fixture
def photographs(tmp_path):
    """A run on a folder of images, named by a relative path, and the folder."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        place = trained(tmp_path / "run", {**THREE, "data.use": "folder", "data.path": "photographs"}).folder
    return place, folder


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_models_are_drawn_from_when_their_data_are_gone(photographs, tmp_path, kind):
    place, folder = photographs
    shutil.copy(folder / "0.png", tmp_path / "one.png")
    shutil.rmtree(folder)
    model = exported(place, tmp_path / "model.safetensors") if kind == "file" else place
    invoked("sample", model, "-n", 4)
    invoked("reconstruct", model, tmp_path / "one.png", "--updates", 2)
    invoked("interpolate", model, "--rows", 2, "--columns", 3)
    invoked("long-run", model, "-n", 2, "--times", 2)
    generated = tmp_path / "model-generated" if kind == "file" else place / "generated"
    names = {"samples.png", "reconstruction.png", "interpolation.png", "long-run.png"}
    assert {path.name for path in generated.iterdir()} == names


def test_a_model_file_draws_the_same_bits_as_its_run(photographs, tmp_path):
    place, _ = photographs
    models = [ebmkit.load(place), ebmkit.load(exported(place, tmp_path / "model.safetensors"))]
    draws = [model.sample(5, torch.Generator().manual_seed(1)) for model in models]
    assert torch.equal(*draws)


def test_a_model_file_holds_the_chains_of_a_replay_buffer(tmp_path):
    place = trained(tmp_path / "run", {**THREE, "init.use": "replay", "init.size": "16"}).folder
    models = [ebmkit.load(place), ebmkit.load(exported(place, tmp_path / "model.safetensors"))]
    draws = [model.sample(5, torch.Generator().manual_seed(1)) for model in models]
    assert torch.equal(*draws)


def test_commands_that_need_moved_data_say_how_to_name_them(photographs):
    place, folder = photographs
    moved = folder.rename(folder.with_name("moved"))
    for command in ("evaluate", "report", "reconstruct"):
        _, stderr = invoked(command, place, code=2)
        assert "no such file" in stderr
        assert "if the data have moved, say where: --data NAME -s data.path=PATH" in stderr
    for options in (("--data", "folder", "-s", f"data.path={moved}"), ("-s", f"data.path={moved}")):
        invoked("reconstruct", place, *options, "-n", 2, "--updates", 2, "--force")
    invoked("reconstruct", place, "--data", "digits", "-n", 2, "--updates", 2, "--force")
    _, stderr = invoked("reconstruct", place, "--data", "moons", "--force", code=2)
    assert "the model is of examples (1, 8, 8), but the data have shape (2,)" in stderr


def test_a_run_resumes_from_another_folder(photographs, tmp_path, monkeypatch):
    place, folder = photographs
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    invoked("train", "--resume", place, "--iterations", 4, "-q")
    moved = folder.rename(elsewhere / "photographs")
    invoked("train", "--resume", place, "--iterations", 5, "-q", code=2)
    invoked("train", "--resume", place, "--iterations", 5, "-q", "-s", f"data.path={moved}")


def test_resuming_on_other_data_is_refused(photographs):
    place, folder = photographs
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    Image.new("L", (8, 8)).save(other / "0.png")
    _, stderr = invoked("train", "--resume", place, "--iterations", 4, "-q", "-s", f"data.path={other}", code=2)
    assert "these are not the data of the run: it had 20 of shape (1, 8, 8)" in stderr


UNIMPORTABLE = """
import sys
sys.modules["sklearn"] = None
from ebmkit.cli.main import app
app(sys.argv[1:])
"""


def test_models_open_without_the_package_of_their_data(tmp_path):
    place = trained(tmp_path / "run", {**THREE, "watch.pictures.every": "0"}).folder
    words = [sys.executable, "-c", UNIMPORTABLE, "sample", str(place), "-n", "2", "--out", str(tmp_path / "x.npy")]
    subprocess.run(words, check=True, capture_output=True)
    assert np.load(tmp_path / "x.npy").shape == (2, 1, 8, 8)
    failed = subprocess.run([*words[:3], "reconstruct", str(place)], capture_output=True, text=True, check=False)
    assert "sklearn" in failed.stderr


def test_drawing_imports_neither_optimisers_nor_data(tmp_path):
    place = trained(tmp_path / "run", THREE).folder
    code = (
        "import sys, torch, ebmkit\n"
        f"ebmkit.load({str(place)!r}).sample(2, torch.Generator().manual_seed(0))\n"
        "print(sorted({'sklearn', 'torch._dynamo', 'torch._inductor', 'matplotlib'} & set(sys.modules)))\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_a_model_file_has_its_settings_as_metadata(tmp_path):
    place = trained(tmp_path / "run", {**THREE, "train.average": "0.9"}).folder
    with safe_open(exported(place, tmp_path / "model.safetensors"), framework="pt") as file:
        facts = file.metadata()
    assert facts["format"] == "1"
    assert facts["weights"] == "average"
    assert facts["updates"] == "3"
    assert json.loads(facts["shape"]) == [1, 8, 8]
    assert facts["config"] == (place / "config.toml").read_text()


def test_files_that_are_not_models_are_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("not a model")
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "damaged.safetensors", metadata={"format": "1", "shape": "]"})
    for name, message in {
        "text": "cannot read .* as a model",
        "foreign": "has no settings of an ebmkit model; write one with: ebmkit export RUN",
        "damaged": "the metadata of .* is damaged",
    }.items():
        with pytest.raises(UsageError, match=message) as error:
            ebmkit.load(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(error.value)


def test_a_report_of_a_model_file_is_refused(tmp_path):
    place = trained(tmp_path / "run", THREE).folder
    _, stderr = invoked("report", exported(place, tmp_path / "model.safetensors"), code=2)
    assert "is a model file: name a folder" in stderr


def test_the_evaluation_of_a_model_file_is_written_beside_it(tmp_path):
    place = trained(tmp_path / "run", THREE).folder
    invoked("evaluate", exported(place, tmp_path / "model.safetensors"), "-n", 20)
    assert json.loads((tmp_path / "model-generated" / "evaluation.json").read_text())["updates"] == 3


def test_files_of_other_formats_are_refused(tmp_path):
    saved = read_model(trained(tmp_path / "run", THREE).folder)
    facts = {"format": "1", "config": saved.config, "shape": "[1, 8, 8]", "weights": "last", "updates": "3"}
    for change, message in {
        ("format", "2"): "is not a model of this version of ebmkit: expected format 1, not 2",
        ("weights", "ema"): "the metadata of .* is damaged: ValueError: weights are average or last, not 'ema'",
        ("shape", '[1, "a"]'): "the metadata of .* is damaged: ValueError: a shape is a list of sizes, not",
        ("shape", "3"): "the metadata of .* is damaged: ValueError: a shape is a list of sizes, not 3",
        ("updates", "x"): "the metadata of .* is damaged: ValueError",
        ("config", "[energy"): "the configuration in .* is not valid TOML",
        ("config", "[energy]\nuse = 'mpl'"): "unknown energy 'mpl'. Did you mean 'mlp'",
        ("config", ""): "does not fit its parts",
    }.items():
        tensors = {f"energy.{name}": value.contiguous() for name, value in saved.states["last"]["energy"].items()}
        save_file(tensors, tmp_path / "x.safetensors", metadata={**facts, change[0]: change[1]})
        with pytest.raises(UsageError, match=message) as error:
            ebmkit.load(tmp_path / "x.safetensors")
        assert "\n" not in str(error.value)


WITHOUT_SAFETENSORS = """
import sys
sys.modules["safetensors"] = None
import torch, ebmkit
print(tuple(ebmkit.load(sys.argv[1]).sample(2, torch.Generator()).shape))
try:
    ebmkit.load(sys.argv[2])
except ebmkit.UsageError as error:
    print(error)
"""


def test_only_model_files_need_safetensors(tmp_path):
    place = trained(tmp_path / "run", THREE).folder
    words = [sys.executable, "-c", WITHOUT_SAFETENSORS, place, exported(place, tmp_path / "model.safetensors")]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[0] == "(2, 1, 8, 8)"
    assert printed[1].endswith("write: pip install safetensors")


def test_a_model_file_can_be_exported_again(tmp_path):
    first = exported(trained(tmp_path / "run", THREE).folder, tmp_path / "first.safetensors")
    invoked("export", first, tmp_path / "second.safetensors")
    one, other = read_model(first), read_model(tmp_path / "second.safetensors")
    assert {**vars(one), "source": None, "states": None} == {**vars(other), "source": None, "states": None}
    assert one.states.keys() == other.states.keys() == {"last"}
    weights = other.states["last"]["energy"]
    assert all(torch.equal(value, weights[name]) for name, value in one.states["last"]["energy"].items())


def test_chains_that_start_from_moved_data_can_be_drawn(photographs, tmp_path):
    _, folder = photographs
    changes = {**THREE, "data.use": "folder", "data.path": str(folder), "init.use": "data"}
    place = trained(tmp_path / "from-data", changes).folder
    moved = folder.rename(folder.with_name("moved"))
    _, stderr = invoked("sample", place, code=2)
    assert "if the data have moved, say where: --data NAME -s data.path=PATH" in stderr
    for words in (("sample",), ("interpolate",), ("long-run",), ("reconstruct", "--updates", "1")):
        invoked(words[0], place, *words[1:], "-s", f"data.path={moved}")
    assert ebmkit.load(place, data={"path": str(moved)}).sample(2, torch.Generator()).shape == (2, 1, 8, 8)
