"""One update of the weights: its gradient, its options, and what it reports."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from trainers import SHAPE, data, network, real, rng, small, trainer, well

from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import EnergyFn
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.samplers.langevin import Langevin


def test_the_gradient_is_the_difference_of_the_means():
    training, batch = trainer(well(0.3)), data(50)
    update = training.update(batch)
    expected = update.fake.mean(0) - batch.mean(0)
    gradient = training.energy.mean.grad
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(update.gradient_norm, expected.norm(), rtol=0, atol=1e-6)
    torch.testing.assert_close(training.energy.mean.detach(), 0.3 - 0.1 * expected, rtol=0, atol=1e-6)


def test_an_update_reports_the_values_before_it():
    training, batch = trainer(well(0.3)), data(50)
    before = copy.deepcopy(training.energy)
    update = training.update(batch)
    torch.testing.assert_close(update.real_energy, before(batch).detach())
    torch.testing.assert_close(update.fake_energy, before(update.fake).detach())
    torch.testing.assert_close(update.loss, update.real_energy.mean() - update.fake_energy.mean())
    assert update.index == training.index == 1
    assert not any(
        value.requires_grad for value in (update.loss, update.real_energy, update.fake, update.gradient_norm)
    )


def test_energies_of_shape_b_1_train_like_those_of_shape_b():
    torch.manual_seed(0)
    column = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    vector = nn.Sequential(*copy.deepcopy(column), nn.Flatten(0))
    sampler = Langevin(steps=3, step_size=0.1, noise=0.1)
    one, other = trainer(column, sampler).update(data(9)), trainer(vector, sampler).update(data(9))
    assert one.real_energy.shape == (9,)
    assert torch.equal(one.loss, other.loss)
    assert all(torch.equal(a, b) for a, b in zip(column.parameters(), vector.parameters(), strict=True))


def test_the_penalty_is_its_weight_times_the_mean_squares():
    update = trainer(well(), energy_l2=0.25).update(data(20))
    gap = update.real_energy.mean() - update.fake_energy.mean()
    penalty = (update.real_energy**2 + update.fake_energy**2).mean()
    torch.testing.assert_close(update.loss, gap + 0.25 * penalty)


def test_the_penalty_changes_the_gradient():
    plain, penalised = trainer(well(3.0)), trainer(well(3.0), energy_l2=0.25)
    batch = data(20)
    fake = plain.update(batch).fake
    penalised.update(batch)
    mean = torch.full(SHAPE, 3.0, dtype=torch.float64, requires_grad=True)
    energies = [((x - mean) ** 2).sum(1) / 2 for x in (batch, fake)]
    (extra,) = torch.autograd.grad(0.25 * sum((e**2).mean() for e in energies), mean)
    torch.testing.assert_close(penalised.energy.mean.grad - plain.energy.mean.grad, extra)


def test_the_gradient_is_clipped_and_its_norm_is_reported():
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


def test_the_average_is_a_moving_average_of_the_weights():
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


def test_without_an_average_the_model_is_the_energy():
    training = small()
    assert training.model is training.energy


def test_an_average_does_not_change_the_training():
    plain, averaged = small(), small(average=0.9)
    for index in range(3):
        assert torch.equal(plain.update(real(index)).loss, averaged.update(real(index)).loss)


def test_the_init_remembers_where_the_chains_ended():
    training = trainer(well())
    updates = [training.update(data(6, seed=index)) for index in range(3)]
    assert [end.shape for end in training.init.ends] == [(6, 3)] * 3
    assert all(end is update.fake for end, update in zip(training.init.ends, updates, strict=True))


def test_chains_use_the_energy_that_accelerate_returns():
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


def test_starts_are_drawn_from_the_generator_of_the_trainer():
    energy = network()
    sampler = Langevin(steps=1, step_size=1e-12, noise=0)
    training = Trainer(energy, sampler, Uniform(SHAPE), torch.optim.SGD(energy.parameters(), lr=0.1), rng(3))
    torch.testing.assert_close(training.update(real(0)).fake, Uniform(SHAPE).sample(8, rng(3)))


@pytest.mark.parametrize(
    "wrong", [{"energy_l2": -1}, {"gradient_clip": 0.0}, {"average": 1.0}, {"average": 0.0}, {"energy_l2": math.nan}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        trainer(well(), **wrong)


def built_with(energy, parameters):
    """A trainer whose optimiser has these parameters."""
    return Trainer(energy, Langevin(), Uniform(SHAPE), torch.optim.SGD(parameters, lr=0.1), rng())


def test_an_optimiser_of_another_network_is_refused():
    energy, other = network(), network()
    message = r"^6 of the 6 parameters of the optimizer are not those of the energy: make it with energy"
    for wrong in (other, copy.deepcopy(energy)):
        with pytest.raises(UsageError, match=message):
            built_with(energy, wrong.parameters())
    with pytest.raises(UsageError, match=r"^1 of the 7 parameters"):
        built_with(energy, [*energy.parameters(), nn.Parameter(torch.zeros(1))])


def test_an_optimiser_may_have_some_of_the_weights():
    energy = network()
    built_with(energy, list(energy.parameters())[:1])
    built_with(energy, [{"params": [parameter]} for parameter in energy.parameters()])
