"""What a run will do, tried before its folder is made: what is refused, and that the run itself is not changed."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import refused
from network_makes import SHAPE, Wrapped, batch_norm
from odd_makes import NumpyState, Unregistered
from torch import Tensor
from training_runs import same

from ebmkit import InitDistribution, Sampler, State, register
from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError
from ebmkit.runs import training
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.model import load
from ebmkit.runs.run import Run
from ebmkit.runs.training import new_run, resume_run
from ebmkit.samplers.langevin import Langevin

pytestmark = pytest.mark.usefixtures("empty_folder")

BASE = ("sampler.steps=3", "train.batch_size=4", "train.device=cpu", "watch.pictures.every=0", "data.use=images")


def images() -> Tensor:
    return torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(autouse=True)
def data(empty_folder) -> None:
    register("data", "images", images)
    register("energy", "wrapped", Wrapped)


def run_of(*pairs: str, energy: str = "wrapped") -> Run:
    settings = dict(pair.split("=") for pair in (*BASE, f"energy.use={energy}", "train.iterations=2", *pairs))
    return new_run(resolve([typed(f"{key}={value}" for key, value in settings.items())]), "run")


def refusal(*pairs: str, energy: str = "wrapped") -> str:
    with pytest.raises(UsageError) as error:
        run_of(*pairs, energy=energy)
    assert "\n" not in str(error.value)
    assert not Path("run").exists()
    return str(error.value)


class Drawing(Wrapped):
    """Draws from every global generator in training."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x + 0.01 * (torch.rand(()) + np.random.rand() + random.random())  # noqa: NPY002
        return super().forward(x)


def test_the_trial_does_not_change_random_states_or_the_run(monkeypatch):
    register("energy", "drawing", Drawing)
    state = torch.get_rng_state(), str(np.random.get_state()), random.getstate()  # noqa: NPY002
    tried = run_of("init.use=replay", "train.average=0.5", energy="drawing")
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (str(np.random.get_state()), random.getstate()) == state[1:]  # noqa: NPY002
    monkeypatch.setattr(training, "try_out", lambda *_: None)
    untried = run_of("init.use=replay", "train.average=0.5", energy="drawing")
    assert same(tried.trainer.state_dict(), untried.trainer.state_dict())
    assert torch.equal(tried.batch_rng.get_state(), untried.batch_rng.get_state())


class Walk(Langevin):
    """Counts its steps."""

    taken = 0

    def chain(self, energy, x, rng):
        for state in super().chain(energy, x, rng):
            Walk.taken += 1
            yield state


def test_the_trial_takes_one_step_of_a_long_chain():
    register("sampler", "walk", Walk)
    Walk.taken = 0
    run_of("sampler.use=walk", "sampler.steps=1000")
    assert Walk.taken == 1


def test_batch_norm_of_single_examples_is_refused():
    register("energy", "norm", lambda shape: torch.nn.Sequential(batch_norm(shape), torch.nn.BatchNorm1d(1)))
    line = refusal("train.batch_size=1", energy="norm")
    assert "energy 'norm' cannot be trained with train.batch_size=1: ValueError: Expected more than 1 value" in line
    assert run_of("train.batch_size=2", energy="norm").status == "ready"


class Stuck(Sampler):
    """A sampler that cannot use this energy."""

    def chain(self, energy, x, rng):
        yield State(x, {"energy": energy.log_density(x)})


def test_a_sampler_that_makes_no_step_is_named():
    register("sampler", "stuck", Stuck)
    recipe = resolve([typed([*BASE[1:], "sampler.use=stuck", "energy.use=wrapped"])])
    with pytest.raises(UsageError, match="sampler 'stuck' cannot make a step with energy 'wrapped': AttributeError"):
        new_run(recipe, "run")


class Ends(InitDistribution):
    """Keeps where chains ended as an array of numpy."""

    def __init__(self, shape):
        self.ends = np.zeros((4, *shape), dtype=np.float32)

    def sample(self, n, rng):
        return torch.from_numpy(self.ends[:n]) + torch.randn(n, *self.ends.shape[1:], generator=rng)

    def remember(self, x):
        self.ends = x.numpy().copy()

    def state_dict(self):
        return {"ends": self.ends}

    def load_state_dict(self, state):
        self.ends = state["ends"]


class Forgetting(Ends):
    """Saves tensors, and restores nothing."""

    def state_dict(self):
        return {"ends": torch.from_numpy(self.ends)}

    def load_state_dict(self, state):
        pass


class Refusing(Forgetting):
    """Cannot restore what it saved."""

    def load_state_dict(self, state):
        self.ends = state["chains"].numpy()


@pytest.mark.parametrize(
    ("init", "words"),
    [
        (Ends, "the state of init 'ends' cannot be saved and read again: ends is a numpy.ndarray"),
        (Forgetting, "the state of init 'ends' is not restored: it['ends'] differs after load_state_dict"),
        (Refusing, "the state of init 'ends' cannot be restored: KeyError: 'chains'"),
    ],
)
def test_an_init_that_is_not_restored_is_refused(init, words):
    register("init", "ends", init)
    assert words in refusal("init.use=ends")


def test_the_command_line_refuses_such_an_energy_in_one_line():
    register("energy", "numpy", NumpyState)
    line = refused("train", "--energy", "numpy", "--data", "images", "--steps", "3", "--batch-size", "4", "--out", "a")
    assert "the state of energy 'numpy' cannot be saved and read again: _extra_state.scale is a numpy.float64" in line


class Later(Wrapped):
    """Its state has another type after many passes."""

    passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += self.training
        return super().forward(x)

    def get_extra_state(self):
        return np.int64(self.passes) if self.passes > 4 else self.passes

    def set_extra_state(self, state):
        self.passes = int(state)


def test_a_state_that_cannot_be_read_keeps_the_last_checkpoint():
    register("energy", "later", Later)
    run = run_of("train.iterations=4", energy="later")
    with pytest.raises(UsageError, match=r"trainer\.energy\._extra_state is a numpy\.int64"):
        list(run.train())
    assert read_checkpoint(Path("run")).updates == 1


def test_a_checkpoint_with_other_types_is_named_for_what_it_is():
    list(run_of().train())
    state = torch.load("run/checkpoint.pt", weights_only=True)
    state["trainer"]["energy"]["scale"] = np.float64(1.0)
    torch.save(state, "run/checkpoint.pt")
    with pytest.raises(UsageError, match=r"cannot be read: it contains numpy.*scalar") as error:
        read_checkpoint(Path("run"))
    assert "truncated" not in str(error.value)
    assert "\n" not in str(error.value)


def test_runs_of_earlier_versions_are_resumed_without_a_trial(monkeypatch):
    register("energy", "unregistered", Unregistered)
    with monkeypatch.context() as patch:
        patch.setattr(training, "try_out", lambda *_: None)
        list(run_of(energy="unregistered").train())
    assert resume_run("run").trainer.index == 2


def test_one_object_for_all_runs_gives_each_run_its_own():
    one = Wrapped(SHAPE)
    register("energy", "one", lambda shape: one)
    first, second = run_of(energy="one"), run_of(energy="one")
    assert first.trainer.energy is one
    assert not {id(p) for p in first.trainer.energy.parameters()} & {id(p) for p in second.trainer.energy.parameters()}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_run_made_without_gradients_trains_the_same(mode):
    expected = [update.scalars for update in run_of().train()]
    Path("run").rename("first")
    with mode():
        assert [update.scalars for update in run_of().train()] == expected


def test_the_defaults_of_torch_do_not_change_a_model():
    list(run_of().train())
    expected = load("run").sample(3, torch.Generator().manual_seed(0))
    try:
        torch.set_default_dtype(torch.float64)
        found = load("run").sample(3, torch.Generator().manual_seed(0))
        torch.set_default_device("meta")
        loaded = load("run")
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert torch.equal(loaded.sample(3, torch.Generator().manual_seed(0)), expected)
