"""The trainer: its gradient, its fixed points, its settings, and what it leaves behind."""

import copy
import io
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from ebmkit.energies.analytic import Gaussian
from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.replay import Replay
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, State
from ebmkit.config.train_settings import TrainSettings
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin
from ebmkit.methods.chains import follow, norms
from ebmkit.methods.maximum_likelihood import Trainer, Update
from ebmkit.methods.schedules import linear

SHAPE = (3,)
CENTRE = torch.tensor([0.7, -1.2, 0.4], dtype=torch.float64)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def well(mean: Tensor | float = 0.0) -> Gaussian:
    """|x - mean|² / 2, in double precision."""
    return Gaussian(SHAPE, mean=torch.as_tensor(mean, dtype=torch.float64).expand(SHAPE))


class Exact(Sampler):
    """One step that is an exact draw of exp(-E) for `well`."""

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        assert isinstance(energy, Gaussian)
        yield State(energy.mean.detach() + torch.randn(x.shape, generator=rng, dtype=torch.float64), {})


class Recorded(InitDistribution):
    """Uniform starts in double precision, which notes what it was told."""

    def __init__(self) -> None:
        self.ends: list[Tensor] = []

    def sample(self, n: int, rng: Generator) -> Tensor:
        return 2 * torch.rand(n, *SHAPE, generator=rng, dtype=torch.float64) - 1

    def remember(self, x: Tensor) -> None:
        self.ends.append(x)


def trainer(energy: nn.Module, sampler: Sampler | None = None, *, lr: float = 0.1, **settings: Any) -> Trainer:
    optimizer = torch.optim.SGD(energy.parameters(), lr=lr)
    return Trainer(energy, sampler or Exact(), Recorded(), optimizer, rng(), **settings)


def data(n: int, seed: int = 0) -> Tensor:
    """Draws around CENTRE with unit variance."""
    return CENTRE + torch.randn(n, *SHAPE, generator=rng(seed), dtype=torch.float64)


def network() -> MLP:
    torch.manual_seed(0)
    return MLP(SHAPE, width=8, depth=2)


def small(**settings: Any) -> Trainer:
    """A network, Langevin chains, a replay bank, Adam and an average: everything that a checkpoint must hold."""
    energy = network()
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.01)
    init = Replay(SHAPE, size=20, restart=0.3)
    return Trainer(energy, Langevin(steps=3, step_size=0.1, noise=0.1), init, optimizer, rng(), **settings)


def real(index: int, n: int = 8) -> Tensor:
    return torch.rand(n, *SHAPE, generator=rng(100 + index)) * 2 - 1


def test_the_parameter_gradient_is_the_difference_of_the_means():
    training, batch = trainer(well(0.3)), data(50)
    step = training.update(batch)
    expected = step.fake.mean(0) - batch.mean(0)
    gradient = training.energy.mean.grad
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(step.gradient_norm, expected.norm(), rtol=0, atol=1e-6)
    torch.testing.assert_close(training.energy.mean.detach(), 0.3 - 0.1 * expected, rtol=0, atol=1e-6)


def test_a_step_reports_what_it_saw_before_the_update():
    training, batch = trainer(well(0.3)), data(50)
    before = copy.deepcopy(training.energy)
    step = training.update(batch)
    torch.testing.assert_close(step.real_energy, before(batch).detach())
    torch.testing.assert_close(step.fake_energy, before(step.fake).detach())
    torch.testing.assert_close(step.loss, step.real_energy.mean() - step.fake_energy.mean())
    assert step.index == training.index == 1
    assert not any(value.requires_grad for value in (step.loss, step.real_energy, step.fake, step.gradient_norm))


def test_a_plain_module_that_gives_a_column_trains_as_one_that_gives_a_vector():
    torch.manual_seed(0)
    column = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    vector = nn.Sequential(*copy.deepcopy(column), nn.Flatten(0))
    sampler = Langevin(steps=3, step_size=0.1, noise=0.1)
    one, other = trainer(column, sampler).update(data(9)), trainer(vector, sampler).update(data(9))
    assert one.real_energy.shape == (9,)
    assert torch.equal(one.loss, other.loss)
    assert all(torch.equal(a, b) for a, b in zip(column.parameters(), vector.parameters(), strict=True))


def test_the_energy_penalty_is_its_weight_times_the_mean_squares():
    step = trainer(well(), energy_l2=0.25).update(data(20))
    gap = step.real_energy.mean() - step.fake_energy.mean()
    penalty = (step.real_energy**2 + step.fake_energy**2).mean()
    torch.testing.assert_close(step.loss, gap + 0.25 * penalty)


def test_the_energy_penalty_pulls_on_the_parameters():
    plain, penalised = trainer(well(3.0)), trainer(well(3.0), energy_l2=0.25)
    batch = data(20)
    fake = plain.update(batch).fake
    penalised.update(batch)
    mean = torch.full(SHAPE, 3.0, dtype=torch.float64, requires_grad=True)
    energies = [((x - mean) ** 2).sum(1) / 2 for x in (batch, fake)]
    (extra,) = torch.autograd.grad(0.25 * sum((e**2).mean() for e in energies), mean)
    torch.testing.assert_close(penalised.energy.mean.grad - plain.energy.mean.grad, extra)


def test_the_gradient_is_clipped_but_its_norm_reported_as_it_was():
    free, bounded = trainer(well(8.0)), trainer(well(8.0), gradient_clip=0.5)
    batch = data(20)
    norm = free.update(batch).gradient_norm
    assert norm > 5
    assert torch.equal(bounded.update(batch).gradient_norm, norm)
    torch.testing.assert_close(bounded.energy.mean.grad.norm().item(), 0.5, rtol=1e-5, atol=0)
    torch.testing.assert_close((bounded.energy.mean.detach() - 8.0).norm().item(), 0.05, rtol=1e-5, atol=0)


def test_a_small_gradient_is_not_clipped():
    free, bounded = trainer(well(8.0)), trainer(well(8.0), gradient_clip=1e3)
    free.update(data(20))
    bounded.update(data(20))
    assert torch.equal(free.energy.mean, bounded.energy.mean)


def test_the_average_is_the_moving_average_of_the_weights():
    training = small(average=0.8)
    expected: list[Tensor] = []
    for index in range(5):
        training.update(real(index))
        now = [parameter.detach().clone() for parameter in training.energy.parameters()]
        expected = [0.8 * a + 0.2 * b for a, b in zip(expected, now, strict=True)] if index else now
    averaged = list(training.model.parameters())
    assert training.model is not training.energy
    for mine, theirs in zip(averaged, expected, strict=True):
        torch.testing.assert_close(mine.detach(), theirs)


def test_without_an_average_the_model_is_the_energy_itself():
    training = small()
    assert training.model is training.energy


def test_an_average_changes_nothing_in_training():
    plain, averaged = small(), small(average=0.9)
    for index in range(3):
        assert torch.equal(plain.update(real(index)).loss, averaged.update(real(index)).loss)


def test_the_linear_schedule_is_flat_then_falls_to_zero_after_the_last_update():
    factor = linear(10, 5)
    assert [factor(index) for index in range(1, 6)] == [1.0] * 5
    assert [factor(index) for index in range(6, 12)] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])


def test_a_run_that_ends_before_the_schedule_falls_stays_at_full_height():
    assert [linear(10, 300)(index) for index in range(1, 11)] == [1.0] * 10


@pytest.mark.parametrize(("kind", "factors"), [("constant", [1, 1, 1, 1]), ("linear", [1, 1, 2 / 3, 1 / 3])])
def test_the_schedule_scales_the_learning_rate_by_the_updates_index(kind, factors):
    schedule = TrainSettings(iterations=4, schedule_from=2).schedule(kind)
    training = trainer(well(4.0), lr=0.1, schedule=schedule)
    for index, factor in enumerate(factors):
        before = training.energy.mean.detach().clone()
        training.update(data(20, seed=index))
        moved = before - 0.1 * factor * training.energy.mean.grad
        torch.testing.assert_close(training.energy.mean.detach(), moved)


def test_the_init_is_told_where_the_chains_ended():
    training = trainer(well())
    steps = [training.update(data(6, seed=index)) for index in range(3)]
    assert [end.shape for end in training.init.ends] == [(6, 3)] * 3
    assert all(end is step.fake for end, step in zip(training.init.ends, steps, strict=True))


class Mixed(nn.Module):
    """A network with a frozen layer, running statistics and dropout, which notes the modes it is called in."""

    def __init__(self, fail: bool = False) -> None:
        super().__init__()
        self.fail, self.modes = fail, []
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.layers[0].requires_grad_(False)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        if self.fail and len(self.modes) == 2:
            raise RuntimeError("on purpose")
        return self.layers(x)


def test_chains_see_evaluation_mode_and_the_update_training_mode():
    energy = Mixed()
    trainer(energy, Langevin(steps=3)).update(data(4))
    assert energy.modes == [False] * 3 + [True] * 2
    assert all(module.training for module in energy.modules())
    assert energy.layers[1].num_batches_tracked == 2


def test_frozen_parameters_stay_frozen_and_unchanged():
    energy = Mixed()
    before = copy.deepcopy(energy.layers[0])
    trainer(energy, Langevin(steps=3)).update(data(4))
    assert [parameter.requires_grad for parameter in energy.parameters()] == [False] * 2 + [True] * 4
    assert energy.layers[0].weight.grad is None
    assert torch.equal(energy.layers[0].weight, before.weight)
    assert torch.is_grad_enabled()


def test_an_energy_that_raises_in_mid_chain_leaves_everything_as_it_was():
    energy = Mixed(fail=True)
    energy.layers[2].eval()
    modes = [module.training for module in energy.modules()]
    before = copy.deepcopy(energy.state_dict())
    training = trainer(energy, Langevin(steps=3))
    with pytest.raises(RuntimeError, match="on purpose"):
        training.update(data(4))
    assert [module.training for module in energy.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in energy.state_dict().items())
    assert training.index == 0
    assert not training.init.ends


def test_chains_leave_no_gradient_on_the_parameters_and_the_batch_alone():
    training, batch = small(), real(0)
    training.chains(8)
    assert all(parameter.grad is None for parameter in training.energy.parameters())
    kept = batch.clone()
    training.update(batch)
    assert torch.equal(batch, kept)
    assert not batch.requires_grad


def test_follow_measures_the_ends_and_the_steps_of_a_chain():
    start = torch.zeros(2, 2)
    moves = [torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]])]
    gradients = [torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.full((2, 2), 99.0)]
    accepted = [torch.tensor([True, False]), torch.tensor([True, True])]
    nonfinite = [torch.tensor([False, True]), torch.tensor([False, False])]
    last = State(moves[1] + 1, {"gradient": torch.tensor([[0.0, 5.0], [5.0, 0.0]]), "accepted": accepted[0]})
    states = [
        State(x, {"gradient": g, "accepted": a, "nonfinite": n, "energy": torch.zeros(2)})
        for x, g, a, n in zip(moves, gradients, accepted, nonfinite, strict=True)
    ]
    states.append(State(last.x, last.info | {"nonfinite": nonfinite[1]}))
    end, figures = follow(start, iter(states))
    assert torch.equal(end, last.x)
    assert {key: value.item() for key, value in figures.items()} == pytest.approx(
        {
            "start_gradient": (1 + 3) / 2,
            "end_gradient": 5.0,
            "displacement": ((5 + 0) / 2 + (0 + 1) / 2 + math.sqrt(2)) / 3,
            "accepted": (0.5 + 1 + 0.5) / 3,
            "nonfinite": (0.5 + 0 + 0) / 3,
        }
    )


def test_follow_reports_of_the_samplers_what_they_tell():
    start = torch.rand(4, *SHAPE, generator=rng(), dtype=torch.float64)
    langevin = follow(start, Langevin(steps=2).chain(well(), start, rng()))[1]
    assert set(langevin) == {"start_gradient", "end_gradient", "displacement"}
    torch.testing.assert_close(langevin["start_gradient"], start.norm(dim=1).mean())
    adjusted = follow(start, HMC(steps=2).chain(well(), start, rng()))[1]
    assert set(adjusted) == {*langevin, "accepted", "nonfinite"}
    assert set(follow(start, [State(start + 3, {})])[1]) == {"displacement"}


def test_follow_writes_to_nothing_that_it_was_given():
    start = torch.rand(4, *SHAPE, generator=rng(), dtype=torch.float64)
    states = list(HMC(steps=3).chain(well(), start, rng()))
    kept = copy.deepcopy((start, states))
    follow(start, states)
    assert torch.equal(start, kept[0])
    for state, old in zip(states, kept[1], strict=True):
        assert torch.equal(state.x, old.x)
        assert same(state.info, old.info)


def test_follow_never_waits_for_the_device():
    # Numbers of the meta device cannot be read: whoever tries, raises.
    x, seen = torch.ones(4, 3, device="meta"), torch.ones(4, dtype=torch.bool, device="meta")
    states = [State(x + 1, {"gradient": x, "accepted": seen, "nonfinite": seen}) for _ in range(3)]
    end, figures = follow(x, states)
    assert end is states[-1].x
    assert {(key, value.shape) for key, value in figures.items()} == {
        (key, ()) for key in ("start_gradient", "end_gradient", "displacement", "accepted", "nonfinite")
    }


def test_what_follow_measures_can_be_differentiated():
    start = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    figures = follow(start, Langevin(steps=2, step_size=0.1, noise=0).chain(well(), start, rng()))[1]
    figures["displacement"].backward()
    expected = (0.1 + 0.1 * 0.9) / 2 / 2 / math.sqrt(3)
    torch.testing.assert_close(start.grad, torch.full((2, 3), expected, dtype=torch.float64))


def test_the_norms_take_each_example_whole():
    x = torch.stack([torch.full((2, 2), 1.0), torch.full((2, 2), 3.0)])
    assert norms(x).tolist() == pytest.approx([2, 6])


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """The state as a checkpoint gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def same(one: Any, other: Any) -> bool:
    """Whether two states are bitwise the same."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def same_steps(one: Update, other: Update) -> bool:
    return same({**vars(one)}, {**vars(other)})


def test_a_trainer_taken_up_from_its_state_goes_on_bitwise():
    schedule = linear(10, 2)
    straight = small(average=0.9, schedule=schedule)
    for index in range(4):
        straight.update(real(index))
    state = copied(straight.state_dict())
    assert set(state) == {"index", "energy", "average", "optimizer", "init", "rng"}
    resumed = small(average=0.9, schedule=schedule)
    resumed.update(real(50))
    resumed.load_state_dict(state)
    assert same(resumed.state_dict(), straight.state_dict())
    for index in range(4, 7):
        assert same_steps(straight.update(real(index)), resumed.update(real(index)))
    assert same(resumed.state_dict(), straight.state_dict())


@pytest.mark.parametrize("left_out", ["energy", "average", "optimizer", "init", "rng"])
def test_every_part_of_the_state_is_needed(left_out):
    straight = small(average=0.9)
    for index in range(3):
        straight.update(real(index))
    resumed = small(average=0.9)
    resumed.update(real(50))
    resumed.load_state_dict(copied({**straight.state_dict(), left_out: resumed.state_dict()[left_out]}))
    for index in range(3, 5):
        straight.update(real(index))
        resumed.update(real(index))
    assert not same(resumed.state_dict(), straight.state_dict())


@pytest.mark.parametrize(
    "wrong", [{"energy_l2": -1}, {"gradient_clip": 0.0}, {"average": 1.0}, {"average": 0.0}, {"energy_l2": math.nan}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        trainer(well(), **wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"iterations": 0}, {"batch_size": 0}, {"data_noise": -0.1}, {"schedule_from": -1}, {"seed": -1}],
)
def test_settings_of_the_loop_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainSettings(**wrong)


def test_the_chains_see_what_accelerate_makes_of_the_energy():
    seen = []

    def accelerate(energy: nn.Module) -> EnergyFn:
        seen.append(energy)
        return lambda x: 2 * energy(x)

    sampler = Langevin(steps=1, step_size=0.25, noise=0)
    plain, doubled = trainer(well(), sampler), trainer(well(), sampler, accelerate=accelerate)
    slow, fast = plain.update(data(4)), doubled.update(data(4))
    assert seen == [doubled.energy]
    torch.testing.assert_close(fast.fake / 0.5, slow.fake / 0.75)
    torch.testing.assert_close(fast.real_energy, slow.real_energy)


def test_uniform_starts_are_drawn_from_the_trainers_own_stream():
    energy = network()
    sampler = Langevin(steps=1, step_size=1e-12, noise=0)
    training = Trainer(energy, sampler, Uniform(SHAPE), torch.optim.SGD(energy.parameters(), lr=0.1), rng(3))
    torch.testing.assert_close(training.update(real(0)).fake, Uniform(SHAPE).sample(8, rng(3)))
