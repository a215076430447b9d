"""What an update leaves as it was: modes, frozen parameters, gradients, the batch."""

import copy

import pytest
import torch
from torch import Tensor, nn
from trainers import data, real, small, trainer

from ebmkit.samplers.langevin import Langevin


class Mixed(nn.Module):
    """A network with a frozen layer, running statistics and dropout, which records the modes it is called in."""

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


def test_chains_use_evaluation_mode_and_the_loss_does_not():
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


def test_an_energy_that_raises_leaves_everything_unchanged():
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


def test_chains_leave_parameters_and_batch_unchanged():
    training, batch = small(), real(0)
    training.chains(8)
    assert all(parameter.grad is None for parameter in training.energy.parameters())
    kept = batch.clone()
    training.update(batch)
    assert torch.equal(batch, kept)
    assert not batch.requires_grad
