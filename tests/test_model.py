"""A run or a file opened as a model: which weights, on which device, and what is refused."""

from threading import Thread

import pytest
import torch
from training_runs import trained

import ebmkit
from ebmkit.acceleration import choice
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.errors import UsageError
from ebmkit.interfaces import value_and_grad
from ebmkit.samplers import Langevin

pytestmark = pytest.mark.usefixtures("built_in_parts_only")
THREE = {"train.iterations": "3"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run that kept an average of its weights."""
    return trained(tmp_path_factory.mktemp("runs") / "averaged", {**THREE, "train.average": "0.5"}).folder


def weights(model: ebmkit.ShortRun) -> dict[str, torch.Tensor]:
    assert isinstance(model.energy, torch.nn.Module)
    return {name.removeprefix("energy."): value for name, value in model.energy.state_dict().items()}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_run_is_loaded_as_a_model_that_draws(place):
    model = ebmkit.load(place)
    assert model.sampler == Langevin(steps=3)
    assert model.sample(5, seeded()).shape == (5, 1, 8, 8)
    assert not any(parameter.requires_grad for parameter in model.energy.parameters())
    assert model.translates


def test_auto_uses_the_average_and_last_the_last_weights(place):
    state = torch.load(place / "checkpoint.pt", weights_only=True)["trainer"]
    last = state["energy"]
    average = {key.removeprefix("module."): value for key, value in state["average"].items() if key != "n_averaged"}
    assert any(not torch.equal(last[key], average[key]) for key in last)
    for kind, expected in {"auto": average, "average": average, "last": last}.items():
        found = weights(ebmkit.load(place, weights=kind))
        assert all(torch.equal(found[key], expected[key]) for key in expected), kind


def test_without_an_average_auto_uses_the_last_weights(tmp_path):
    place = trained(tmp_path / "plain", THREE).folder
    last = torch.load(place / "checkpoint.pt", weights_only=True)["trainer"]["energy"]
    found = weights(ebmkit.load(str(place)))
    assert all(torch.equal(found[key], last[key]) for key in last)
    with pytest.raises(UsageError, match=r"has no 'average' weights, only last; use auto, or train\.average"):
        ebmkit.load(place, weights="average")


def test_a_run_in_low_precision_is_loaded_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32", "bf16"))
    model = ebmkit.load(trained(tmp_path / "low", {**THREE, "train.precision": "bf16"}).folder)
    assert isinstance(model.energy, Accelerated)
    assert model.energy.precision == "bf16"
    assert model.translates
    assert model.sample(2, seeded()).dtype == torch.float32


def test_loading_changes_nothing_on_disk(place):
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    ebmkit.load(place).sample(2, seeded())
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_missing_device_and_another_folder_are_refused(place, tmp_path):
    with pytest.raises(UsageError, match=r"train\.device: 'cuda:99' is not on this machine"):
        ebmkit.load(place, device="cuda:99")
    with pytest.raises(UsageError, match=r"is not the folder of a run: it has no config\.toml"):
        ebmkit.load(tmp_path)


def test_unknown_weights_are_refused_with_the_nearest(place):
    with pytest.raises(
        UsageError, match=r"^weights must be auto or average or last, not 'lsat'\. Did you mean 'last'\?$"
    ):
        ebmkit.load(place, weights="lsat")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    place = trained(tmp_path / "broken", THREE).folder
    state = torch.load(place / "checkpoint.pt", weights_only=True)
    next(iter(state["trainer"]["energy"].values())).fill_(float("nan"))
    torch.save(state, place / "checkpoint.pt")
    with pytest.raises(UsageError, match="are not finite: nothing can be drawn from them"):
        ebmkit.load(place)


def test_a_checkpoint_that_does_not_fit_its_parts_is_refused(tmp_path):
    place = trained(tmp_path / "misfit", THREE).folder
    state = torch.load(place / "checkpoint.pt", weights_only=True)
    state["trainer"]["energy"].popitem()
    torch.save(state, place / "checkpoint.pt")
    with pytest.raises(UsageError, match=r"misfit does not fit its parts: RuntimeError: .*Missing key") as error:
        ebmkit.load(place)
    assert "\n" not in str(error.value)


def test_two_models_of_a_run_have_weights_of_their_own(place):
    x = torch.rand(2, 1, 8, 8, generator=seeded())
    last = ebmkit.load(place, weights="last")
    before = value_and_grad(last.energy, x)
    average = value_and_grad(ebmkit.load(place, weights="average").energy, x)
    assert all(map(torch.equal, value_and_grad(last.energy, x), before))
    assert not torch.equal(average[1], before[1])


def test_threads_that_share_a_model_draw_the_same_bits(place):
    sizes = [1, 2, 3, 5, 7, 4]
    expected = [ebmkit.load(place).sample(size, seeded(size)) for size in sizes]
    for _ in range(5):
        model, found = ebmkit.load(place), {}

        def draw(size, model=model, found=found):
            found[size] = model.sample(size, seeded(size))

        threads = [Thread(target=draw, args=(size,)) for size in sizes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(torch.equal(found[size], x) for size, x in zip(sizes, expected, strict=True))
        assert all(torch.equal(model.sample(size, seeded(size)), x) for size, x in zip(sizes, expected, strict=True))
