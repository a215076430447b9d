"""A run's folder as a model: which weights, on which device, and what is refused."""

from pathlib import Path

import pytest
import torch

import ebmkit
from ebmkit.runs import folder
from ebmkit.acceleration import choice
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.config.layers import typed
from ebmkit.errors import UsageError
from ebmkit.interfaces import value_and_grad
from ebmkit.runs.loading import model, opened
from ebmkit.config.resolution import resolve
from ebmkit.runs.run import prepare
from ebmkit.samplers.langevin import Langevin

BASE = [
    "energy.width=4",
    "sampler.steps=3",
    "train.batch_size=8",
    "train.iterations=3",
    "train.device=cpu",
    "watch.pictures.every=0",
]


def trained(place: Path, *changes: str) -> Path:
    recipe = resolve([typed([*BASE, *changes])])
    run = prepare(recipe, place)
    steps = run.steps(pytest.fail)
    folder.write(place, recipe, run.trainer.rng.device)
    list(steps)
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run that kept an average of its weights."""
    return trained(tmp_path_factory.mktemp("runs") / "averaged", "train.average=0.5")


def weights(model: ebmkit.ShortRun) -> dict[str, torch.Tensor]:
    assert isinstance(model.energy, torch.nn.Module)
    return {name.removeprefix("energy."): value for name, value in model.energy.state_dict().items()}


def test_a_run_is_loaded_as_a_model_that_draws(place):
    model = ebmkit.load(place)
    assert model.sampler == Langevin(steps=3)
    rng = torch.Generator().manual_seed(0)
    assert model.sample(5, rng).shape == (5, 1, 8, 8)
    assert not any(parameter.requires_grad for parameter in model.energy.parameters())
    assert model.translates


def test_the_average_is_taken_where_there_is_one_and_the_last_weights_where_asked(place):
    state = torch.load(place / "checkpoint.pt", weights_only=True)["trainer"]
    last = state["energy"]
    average = {key.removeprefix("module."): value for key, value in state["average"].items() if key != "n_averaged"}
    assert any(not torch.equal(last[key], average[key]) for key in last)
    for kind, expected in {"auto": average, "average": average, "last": last}.items():
        found = weights(ebmkit.load(place, weights=kind))
        assert all(torch.equal(found[key], expected[key]) for key in expected), kind


def test_without_an_average_the_last_weights_are_taken_and_the_average_refused(tmp_path):
    place = trained(tmp_path / "plain")
    last = torch.load(place / "checkpoint.pt", weights_only=True)["trainer"]["energy"]
    found = weights(ebmkit.load(str(place)))
    assert all(torch.equal(found[key], last[key]) for key in last)
    with pytest.raises(UsageError, match="kept no average of its weights; write last or auto"):
        ebmkit.load(place, weights="average")


def test_a_run_in_low_precision_is_loaded_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32", "bf16"))
    model = ebmkit.load(trained(tmp_path / "low", "train.precision=bf16"))
    assert isinstance(model.energy, Accelerated)
    assert model.energy.precision == "bf16"
    assert model.translates
    assert model.sample(2, torch.Generator().manual_seed(0)).dtype == torch.float32


def test_loading_changes_nothing_on_disk(place):
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    ebmkit.load(place).sample(2, torch.Generator().manual_seed(0))
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_device_that_is_not_there_and_a_folder_that_is_no_run_are_refused(place, tmp_path):
    with pytest.raises(UsageError, match=r"train\.device: 'cuda:99' is not on this machine"):
        ebmkit.load(place, device="cuda:99")
    with pytest.raises(UsageError):
        ebmkit.load(tmp_path)


def test_unknown_weights_are_refused_with_the_nearest(place):
    with pytest.raises(
        UsageError, match=r"^weights must be auto or average or last, not 'lsat'\. Did you mean 'last'\?$"
    ):
        ebmkit.load(place, weights="lsat")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    place = trained(tmp_path / "broken")
    state = torch.load(place / "checkpoint.pt", weights_only=True)
    next(iter(state["trainer"]["energy"].values())).fill_(float("nan"))
    torch.save(state, place / "checkpoint.pt")
    with pytest.raises(UsageError, match="are not finite: nothing can be drawn from them"):
        ebmkit.load(place)


def test_two_models_of_a_run_have_weights_of_their_own(place):
    run, x = opened(place), torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    last = model(run, "last")
    before = value_and_grad(last.energy, x)
    average = value_and_grad(model(run, "average").energy, x)
    assert all(map(torch.equal, value_and_grad(last.energy, x), before))
    assert not torch.equal(average[1], before[1])
