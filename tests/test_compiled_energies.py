"""Energies that users compiled themselves: they train and sample without a complaint of torch's compiler."""

import logging
import warnings

import pytest
import torch
from torch import Generator, nn

from ebmkit import Energy, ShortRun, Trainer
from ebmkit.acceleration.choice import choose
from ebmkit.energies import MLP
from ebmkit.inits import Uniform
from ebmkit.samplers import Langevin

SHAPE = (3,)


class Inside(Energy):
    """An energy with a compiled network inside."""

    def __init__(self):
        super().__init__()
        self.network = torch.compile(MLP(SHAPE, width=4), backend="eager")

    def forward(self, x):
        return self.network(x)


def whole():
    return torch.compile(MLP(SHAPE, width=4), backend="eager")


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("make", [whole, Inside])
def test_compiled_energies_work_without_complaints(make, caplog):
    torch._dynamo.reset()
    energy: nn.Module = make()
    sampler, init = Langevin(steps=2), Uniform(SHAPE)
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.01)
    rng = Generator().manual_seed(0)
    choice = choose(energy, torch.zeros(8, *SHAPE), precision="fp32", compile="off", passes=None, threads=1)
    faster = choice.accelerated(energy)
    trainer = Trainer(energy, sampler, init, optimizer, rng, average=0.9, accelerate=faster.refreshed)
    before = [parameter.detach().clone() for parameter in energy.parameters()]
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (8, 8, 5, 6, 7, 9, 10, 11, 12, 13, 14):  # torch compiles again at most eight times
            trainer.update(torch.zeros(size, *SHAPE))
        model = ShortRun(faster, sampler, init)
        samples = model.sample(20, rng, batch=7)
        model.reconstruct(samples[:2], rng, updates=2, at=(0, 2))
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not all(torch.equal(one, two) for one, two in zip(before, energy.parameters(), strict=True))
