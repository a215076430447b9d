"""A new run: its randomness, its watchers, and what cannot be built."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import torch
from commands import invoked
from training_runs import BASE, HMC, begun, metrics, recipe, same, state_of, trained

from ebmkit.config.layers import typed
from ebmkit.config.recipe import build_part
from ebmkit.config.resolution import resolve
from ebmkit.config.settings import Lazy
from ebmkit.errors import Notice, UsageError
from ebmkit.registry.lookup import get_registry, register
from ebmkit.runs.build import open_data
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.device import pick_device
from ebmkit.runs.model import load
from ebmkit.runs.training import new_run, resume_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


def test_pictures_do_not_change_a_run(tmp_path):
    trained(tmp_path / "blind", {"train.iterations": "3"})
    pictures = {"watch.pictures.every": "1", "watch.pictures.count": "4", "watch.pictures.chains": "2"}
    trained(tmp_path / "drawn", {"train.iterations": "3", **pictures})
    assert len(list((tmp_path / "drawn").glob("*/*.png"))) == 6
    assert metrics(tmp_path / "blind") == metrics(tmp_path / "drawn")
    assert same(state_of(tmp_path / "blind")["trainer"], state_of(tmp_path / "drawn")["trainer"])


def test_the_seed_determines_weights_batches_and_chains(tmp_path):
    runs = {seed: new_run(recipe({"train.seed": str(seed)}), None) for seed in (0, 1)}
    again = new_run(recipe(HMC), None)
    assert same(runs[0].trainer.energy.state_dict(), again.trainer.energy.state_dict())
    assert not same(runs[0].trainer.energy.state_dict(), runs[1].trainer.energy.state_dict())
    streams = [rng.get_state() for run in runs.values() for rng in (run.trainer.rng, run.batch_rng)]
    assert not any(torch.equal(one, other) for i, one in enumerate(streams) for other in streams[:i])


def test_training_does_not_change_the_global_random_state(tmp_path):
    torch.manual_seed(12345)
    before = torch.random.get_rng_state()
    trained(tmp_path / "a", {"train.iterations": "2"})
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler.steps": "-1"}, "sampler.steps must be at least 1, not -1"),
        ({"sampler.noise": "nan"}, "sampler.noise must be at least 0, not nan"),
        ({"train.batch_size": "0"}, "train.batch_size must be at least 1, not 0"),
        ({"train.batch_size": "1798"}, "train.batch_size=1798 is more than the data have: 1797"),
        ({"train.average": "1.5"}, "train.average must be above 0 and below 1"),
        ({"optimizer.lr": "-1"}, "optimizer: Invalid learning rate"),
        ({"data.size": "20"}, "energy: convnet takes square images of 8, 16, 32, 64 or 128 pixels"),
        ({"data.use": "moons"}, "energy: convnet takes square images"),
        ({"init.use": "replay", "init.restart": "2"}, "init.restart must be"),
        ({"train.device": "gpu"}, "train.device: 'gpu' is not on this machine"),
        ({"train.device": "cuda:99"}, "train.device: 'cuda:99' is not on this machine"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_settings_out_of_range_are_refused_by_name(tmp_path, changes, message):
    with pytest.raises(UsageError) as error:
        new_run(recipe(changes), tmp_path / "a")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_energy_without_parameters_is_refused():
    with pytest.raises(UsageError, match="energy 'double_well' has no parameters to train"):
        new_run(resolve([typed(["energy.use=double_well"])]), None)


def test_an_energy_that_cannot_take_the_data_is_refused(tmp_path):
    register("energy", "square", lambda shape: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(63, 1)))
    with pytest.raises(UsageError, match=r"energy 'square' cannot take examples of shape \(1, 8, 8\)") as error:
        new_run(resolve([typed(["energy.use=square"])]), None)
    assert "\n" not in str(error.value)


def test_auto_picks_a_device_of_this_machine():
    assert pick_device("auto").type == ("cuda" if torch.cuda.device_count() else pick_device("auto").type)
    assert pick_device("cpu") == torch.device("cpu")


def breaking(updates, trainer, *, at: int = 2):
    """Raises.

    Args:
        at: When.
    """
    for update in updates:
        if trainer.index == at:
            raise RuntimeError("on purpose")
        yield update


def test_a_broken_watcher_does_not_change_the_run(tmp_path):
    register("watcher", "breaking", breaking)
    trained(tmp_path / "plain", {"train.iterations": "4"})
    run = new_run(recipe({"train.iterations": "4", "watch.breaking.at": "3"}), tmp_path / "watched")
    with pytest.warns(Notice) as warnings:
        assert [update.index for update in run.train()] == [1, 2, 3, 4]
    assert [str(one.message) for one in warnings] == [
        "watcher 'breaking' of registered in this session: switched off: RuntimeError: on purpose",
    ]
    assert metrics(tmp_path / "plain") == metrics(tmp_path / "watched")
    assert same(state_of(tmp_path / "plain")["trainer"], state_of(tmp_path / "watched")["trainer"])


def test_a_watcher_can_stop_a_run_in_order(tmp_path):
    def satisfied(updates, hold):
        for update in updates:
            if update.index == 2:
                hold(UsageError("good enough"))
            yield update

    register("watcher", "satisfied", satisfied)
    layer = typed(f"{key}={value}" for key, value in {**BASE, "train.iterations": "4"}.items())
    layer.sections["watch.satisfied"] = {}
    run, updates = begun(tmp_path / "a", resolve([layer]))
    with pytest.raises(UsageError, match="good enough"):
        list(updates)
    assert run.status == "failed"
    assert read_checkpoint(tmp_path / "a").updates == 2


def test_a_watcher_gets_the_facts_that_it_asks_for(tmp_path):
    seen: dict[str, Any] = {}

    def curious(updates, trainer, folder, examples, iterations, config, save):
        seen.update(trainer=trainer, folder=folder, examples=examples, iterations=iterations, config=config)
        yield from updates
        save()
        seen["index"] = read_checkpoint(folder).updates

    register("watcher", "curious", curious)
    layer = typed(f"{key}={value}" for key, value in {**BASE, "train.iterations": "2"}.items())
    layer.sections["watch.curious"] = {}
    run, updates = begun(tmp_path / "a", resolve([layer]))
    list(updates)
    assert seen["trainer"] is run.trainer
    assert seen["folder"] == tmp_path / "a"
    assert len(seen["examples"]) == 1797
    assert (seen["iterations"], seen["index"]) == (2, 2)
    assert seen["config"]["sampler"]["steps"] == 3


def test_a_refused_optimiser_is_named_by_its_own_section():
    with pytest.raises(UsageError, match=r"^optimizer: Invalid learning rate: -1\.0$"):
        new_run(recipe({"optimizer.lr": "-1"}))


class Asking(torch.nn.Module):
    """An energy that asks for the data, and takes its time between the seed and its weights."""

    def __init__(self, shape, data):
        super().__init__()
        self.mean = data.fetch(torch.arange(4)).mean()
        sleep(0.05)
        self.layer = torch.nn.Linear(torch.Size(shape).numel(), 1)

    def forward(self, x):
        return self.layer(x.flatten(1) - self.mean).squeeze(1)


def test_an_energy_may_ask_for_the_data():
    register("energy", "asking", Asking)
    run = new_run(resolve([typed(["energy.use=asking", "train.device=cpu"])]))
    assert torch.equal(run.trainer.energy.mean, run.examples.fetch(torch.arange(4)).mean())


def test_runs_built_in_threads_have_the_weights_of_their_seeds():
    register("energy", "asking", Asking)
    recipes = [resolve([typed(["energy.use=asking", "train.device=cpu", f"train.seed={n}"])]) for n in range(4)]
    expected = [new_run(one).trainer.energy.layer.weight for one in recipes]
    before = torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: new_run(one).trainer.energy.layer.weight, recipes))
    assert all(map(torch.equal, found, expected))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_data_that_cannot_be_opened_are_not_the_init_s_error(tmp_path):
    part, lost = (
        get_registry().find("init", "data"),
        Lazy(lambda: open_data(recipe({"data.use": "arrays", "data.path": "x"}))),
    )
    with pytest.raises(UsageError, match=r"^data: "):
        build_part(part, "init", {}, {"shape": (2,), "data": lost})


def where(*, path: Path):
    """Points whose number of rows is the length of a file.

    Args:
        path: The file.
    """
    return torch.linspace(-1, 1, 2 * path.stat().st_size).view(-1, 2)


def test_a_path_is_taken_from_the_folder_of_the_command(tmp_path, monkeypatch):
    register("data", "where", where)
    (tmp_path / "rows").write_text("x" * 40)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    changes = {"energy.use": "mlp", "data.use": "where", "data.path": "rows", "init.use": "data"}
    changes = {**changes, "train.iterations": "2"}
    seen: list[Any] = []

    def curious(updates, config):
        seen.append(config["data"]["path"])
        return updates

    register("watcher", "curious", curious)
    layer = typed(f"{key}={value}" for key, value in {**BASE, **changes}.items() if key != "energy.width")
    layer.sections["watch.curious"] = {}
    list(new_run(resolve([layer]), "a").train())
    assert seen == [str(tmp_path / "rows")]
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(resume_run(tmp_path / "a").examples) == 40
    assert load(tmp_path / "a").sample(3, torch.Generator()).shape == (3, 2)
    (tmp_path / "rows").rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="if the data have moved, say where"):
        load(tmp_path / "a")
    assert load(tmp_path / "a", data={"path": "../moved"}).sample(3, torch.Generator()).shape == (3, 2)
    assert "rows" not in invoked("sample", tmp_path / "a", "-n", "3", "-s", "data.path=../moved")[1]
