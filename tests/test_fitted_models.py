"""What starts fitted to data are in a run: fitted once, saved, restored, and used where the data are gone."""

import shutil
from copy import copy
from functools import cache

import numpy as np
import pytest
import torch
from commands import invoked
from PIL import Image
from training_runs import assert_same_run, begun, recipe, resumed, same, state_of, trained

import ebmkit
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.inits.chosen import ChosenExamples
from ebmkit.inits.fitted import FittedGaussian
from ebmkit.inits.mixture import GaussianMixture
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.runs.model import read_model
from ebmkit.runs.model_file import write_model_file
from ebmkit.runs.parts import DeferredExamples
from ebmkit.runs.training import new_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")
FITTED = {"init.use": "fitted", "train.iterations": "3"}
FORMS = ("full", "low_rank", "fourier")
every_form = pytest.mark.parametrize("form", FORMS)
IMAGES = torch.rand(30, 2, 3, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(x=IMAGES, **settings):
    return FittedGaussian(tuple(x.shape[1:]), Examples(x), **settings)


class Gone:
    """Data that cannot be read any more."""

    def __len__(self):
        raise AssertionError("the data were opened")

    def fetch(self, indices):
        raise AssertionError("the data were opened")


@pytest.fixture
def photographs(tmp_path):
    """A folder of 20 images of 8x8."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@every_form
def test_a_restored_start_draws_the_same_bits_without_data(form):
    first = fitted(covariance=form, rank=4)
    second = FittedGaussian((2, 3, 4), Gone(), covariance=form, rank=4)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(9, rng(1)), second.sample(9, rng(1)))
    assert torch.equal(second.centre, first.centre)


def test_a_restored_start_is_a_copy():
    state = fitted().state_dict()
    init = fitted()
    init.load_state_dict(state)
    before = init.sample(3, rng())
    state["factor"].zero_()
    assert torch.equal(init.sample(3, rng()), before)


def test_an_empty_state_is_fitted_again():
    init = fitted()
    before = init.sample(3, rng())
    init.load_state_dict({})
    assert torch.equal(init.sample(3, rng()), before)


@pytest.mark.parametrize("form", ["low_rank", "fourier"])
def test_the_state_of_another_form_is_refused(form):
    with pytest.raises(ValueError, match=r"the fitted start has tensors of shapes .*, but the state has "):
        fitted(covariance=form, rank=4).load_state_dict(fitted().state_dict())


def test_a_start_fitted_in_inference_mode_is_differentiable():
    init = fitted()
    with torch.inference_mode():
        init.sample(2, rng())
    weight = torch.ones(2, 3, 4, requires_grad=True)
    (init.sample(2, rng()) * weight + init.centre * weight).sum().backward()
    assert weight.grad is not None


def test_chains_do_not_change_the_start():
    init = fitted()
    before = init.sample(4, rng())
    init.remember(before + 100)
    assert torch.equal(init.sample(4, rng()), before)


def test_a_replay_buffer_saves_what_its_base_was_fitted_to():
    first = ReplayBuffer((2, 3, 4), size=8, restart=0.5, base=fitted())
    first.sample(3, rng(1))
    second = ReplayBuffer((2, 3, 4), size=8, restart=0.5, base=FittedGaussian((2, 3, 4), Gone()))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(8, rng(2)), second.sample(8, rng(2)))


def test_a_run_reads_its_data_for_the_start_only_once(tmp_path, monkeypatch):
    passes = []
    read = ChosenExamples.batches
    monkeypatch.setattr(ChosenExamples, "batches", lambda self: (passes.append(1), read(self))[1])
    _, updates = begun(tmp_path / "run", recipe(FITTED))
    assert len(passes) == 2  # of the mean, and of the covariance
    list(updates)
    assert len(passes) == 2


def test_data_that_cannot_be_fitted_are_refused_before_a_run(tmp_path):
    with pytest.raises(UsageError, match=r"init\.covariance fourier is for images"):
        new_run(
            recipe({**FITTED, "init.covariance": "fourier", "data.use": "moons", "energy.use": "mlp"}), tmp_path / "a"
        )
    np.save(tmp_path / "same.npy", np.zeros((40, 8, 8), dtype=np.uint8))
    same_images = {"data.use": "arrays", "data.path": str(tmp_path / "same.npy"), "init.ridge": "0"}
    with pytest.raises(UsageError, match=r"init\.ridge 0 makes all starts the same"):
        new_run(recipe({**FITTED, **same_images}), tmp_path / "b")
    assert not {path.name for path in tmp_path.iterdir()} & {"a", "b"}


@every_form
def test_a_stopped_run_with_fitted_starts_resumes_bit_for_bit(tmp_path, form):
    changes = {**FITTED, "init.covariance": form, "train.iterations": "4", "train.lr_schedule": "constant"}
    trained(tmp_path / "whole", changes)
    run, updates = begun(tmp_path / "stopped", recipe(changes))
    next(updates), next(updates)
    run.checkpoint().write(tmp_path / "stopped")
    updates.close()
    resumed(tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(("name", "settings"), [("fitted", {}), ("mixture", {"init.components": "2"})])
def test_a_resumed_run_restores_its_fitted_starts_and_does_not_fit_them_again(tmp_path, monkeypatch, name, settings):
    changes = {**FITTED, "init.use": name, **settings, "train.iterations": "2"}
    place = trained(tmp_path / "run", changes).folder
    for kind in (FittedGaussian, GaussianMixture):
        monkeypatch.setattr(kind, "fit", lambda self: pytest.fail("the data are read again"))
    saved = state_of(place)["trainer"]["init"]
    assert same(resumed(place, "train.iterations=3").trainer.init.state_dict(), saved)


@pytest.mark.parametrize("kind", ["folder", "file"])
@every_form
def test_fitted_starts_are_drawn_when_their_data_are_gone(photographs, tmp_path, form, kind):
    changes = {**FITTED, "data.use": "folder", "data.path": str(photographs), "init.covariance": form}
    model = trained(tmp_path / "run", changes).folder
    before = ebmkit.load(model).sample(5, rng(1))
    shutil.copy(photographs / "0.png", tmp_path / "one.png")
    shutil.rmtree(photographs)
    if kind == "file":
        write_model_file(read_model(model), "last", tmp_path / "model.safetensors")
        model = tmp_path / "model.safetensors"
    assert torch.equal(ebmkit.load(model).sample(5, rng(1)), before)
    invoked("sample", model, "-n", 4)
    invoked("reconstruct", model, tmp_path / "one.png", "--updates", 2)
    invoked("interpolate", model, "--rows", 2, "--columns", 3)
    invoked("export", model, tmp_path / "again.safetensors")


def test_the_saved_start_is_used_and_not_that_of_other_data(photographs, tmp_path):
    model = trained(tmp_path / "run", {**FITTED, "data.use": "folder", "data.path": str(photographs)}).folder
    saved = state_of(model)["trainer"]["init"]
    for number in range(20):
        Image.new("L", (8, 8), 255).save(photographs / f"{number}.png")
    assert same(ebmkit.load(model).init.state_dict(), saved)


def test_deferred_examples_are_opened_at_their_first_use():
    opened = []

    def opening():
        opened.append(1)
        return Examples(IMAGES)

    examples = DeferredExamples(cache(opening))
    assert copy(examples) is not examples
    assert not opened
    assert examples.shape == (2, 3, 4)
    assert len(examples) == 30
    assert torch.equal(examples.fetch(torch.tensor([3])), IMAGES[3:4])
    assert examples.fingerprint == Examples(IMAGES).fingerprint
    assert opened == [1]
    with pytest.raises(AttributeError):
        _ = examples.colour
