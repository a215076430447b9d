"""Paths that a user gave, and settings that name files: they open the same file from any folder."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from image_data import encoded, everything, refused
from torch import nn

from ebmkit.config.layers import layer_of, loads, typed
from ebmkit.config.resolution import resolve, resolve_part
from ebmkit.data.arrays import arrays
from ebmkit.data.examples import Examples
from ebmkit.data.hub import hub
from ebmkit.data.paths import existing, existing_file
from ebmkit.features.torchscript import TorchScript

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
LABELS = np.arange(6, dtype=np.uint8) % 3


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with data in every format."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    np.save("pixels.npy", PIXELS)
    np.save("labels.npy", LABELS)
    np.savez("both.npz", images=PIXELS, labels=LABELS)
    Path("images-idx3").write_bytes(idx_bytes(PIXELS))
    Path("numbers").write_bytes(idx_bytes(LABELS))
    Path("pictures").mkdir()
    Path("pictures/a.png").write_bytes(encoded(PIXELS[0]))
    return place


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "images.npy").touch()
    refused(r"no such file: .*image\.npy\. Did you mean 'images\.npy'\?$", existing, tmp_path / "image.npy")
    refused("no such file", existing, str(tmp_path / "nowhere" / "image.npy"))


def test_a_name_is_found_however_its_accents_are_composed(tmp_path):
    (tmp_path / "cafe\u0301").mkdir()
    path = tmp_path / "cafe\u0301" / "e\u0301te\u0301.npy"
    path.touch()
    assert existing(tmp_path / "caf\u00e9" / "\u00e9t\u00e9.npy").samefile(path)
    assert existing(path) == path
    refused("no such file", existing, tmp_path / "th\u00e9" / "a.npy")


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.npy").touch()
    assert existing("~/a.npy") == tmp_path / "a.npy"


def test_a_folder_is_refused_where_a_file_is_expected(tmp_path):
    refused("is a folder: expected an idx file", existing_file, tmp_path, "an idx file")


def test_the_home_folder_of_nobody_is_refused():
    refused("cannot use '~nosuchuser/a' as a path: ", existing, "~nosuchuser/a")


@pytest.mark.parametrize(
    "settings",
    [
        {"use": "arrays", "path": "pixels.npy", "labels": "labels.npy", "classes": [1]},
        {"use": "arrays", "path": "both.npz", "labels": "labels", "classes": [1]},
        {"use": "idx", "path": "images-idx3", "labels": "numbers", "classes": [1]},
        {"use": "folder", "path": "pictures"},
    ],
    ids=["arrays", "npz", "idx", "folder"],
)
def test_a_recipe_resolved_in_one_folder_opens_from_another(settings, here, tmp_path, monkeypatch):
    recipe = resolve([layer_of({"data": settings}, "settings")])
    expected = everything(recipe.build("data"))
    monkeypatch.chdir(tmp_path)
    assert torch.equal(everything(recipe.build("data")), expected)
    again = resolve([loads(recipe.toml(), "config.toml")])
    assert torch.equal(everything(again.build("data")), expected)


def test_a_path_on_the_command_line_becomes_absolute(here):
    recipe = resolve([typed(["data.use=folder", "data.path=pictures"])])
    assert recipe.sections["data"]["path"] == here / "pictures"


def test_the_file_of_features_opens_from_another_folder(here, tmp_path, monkeypatch):
    module = torch.jit.trace(nn.Flatten(), torch.zeros(2, 1, 4, 4), check_trace=False)
    torch.jit.save(module, "flat.pt")
    component, settings = resolve_part("features", "torchscript", typed(["features.path=flat.pt"], ("features",)))
    monkeypatch.chdir(tmp_path)
    features = component.load()(Examples(torch.zeros(3, 1, 4, 4)), **settings)
    assert isinstance(features, TorchScript)
    assert features.d == 16


@pytest.mark.parametrize("features", ["inception", "torchscript"])
def test_features_from_files_have_settings_that_are_paths(features, here):
    key = {"inception": "weights", "torchscript": "path"}[features]
    _, settings = resolve_part("features", features, typed([f"features.{key}=weights.pt"], ("features",)))
    assert settings[key] == here / "weights.pt"


def test_an_existing_folder_given_to_the_hub_becomes_absolute(here):
    recipe = resolve([typed(["data.use=hub", "data.id=pictures"])])
    assert recipe.sections["data"]["id"] == here / "pictures"


def test_a_name_on_the_hub_stays_a_name(here):
    recipe = resolve([typed(["data.use=hub", "data.id=uoft-cs/cifar10"])])
    assert recipe.sections["data"]["id"] == "uoft-cs/cifar10"


def test_a_name_on_the_hub_survives_being_written(here):
    recipe = resolve([typed(["data.use=hub", "data.id=uoft-cs/cifar10"])])
    again = resolve([loads(recipe.toml(), "config.toml")])
    assert again.sections["data"]["id"] == "uoft-cs/cifar10"


def test_a_file_named_like_the_labels_does_not_hide_them(here):
    Path("labels").write_text("a file that happens to be here")
    recipe = resolve([typed(["data.use=arrays", "data.path=both.npz", "data.labels=labels", "data.classes=[1]"])])
    assert len(recipe.build("data")) == 2


def test_paths_may_be_strings_in_python(here, monkeypatch):
    assert len(arrays(path="pixels.npy", labels="labels.npy", classes=(1,))) == 2
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused("needs the package datasets", hub, id=Path("pictures"))
