"""What an evaluation compares with, and devices without double precision."""

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.evaluation import frechet_distance, measures
from ebmkit.evaluation.diagnostics import split_rhat
from ebmkit.evaluation.kernels import mmd
from ebmkit.evaluation.rows import doubles, finite_rows
from ebmkit.features.pixels import Pixels
from ebmkit.inits import DataInit, Gaussian, ReplayBuffer, Uniform
from ebmkit.samplers import Langevin
from ebmkit.shortrun import ShortRun

DATA = Examples(torch.randn(80, 3, generator=Generator().manual_seed(0)) * 0.1 + 2)


class OnMps(Tensor):
    """A tensor that says it is on mps, and has no double precision, as there."""

    @property
    def device(self):
        return torch.device("mps")

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self):
        return self.as_subclass(Tensor)


def rng():
    return Generator().manual_seed(1)


@pytest.mark.parametrize(
    ("init", "noise"),
    [
        (DataInit(DATA), Uniform((3,))),
        (ReplayBuffer((3,), size=200), Uniform((3,))),
        (ReplayBuffer((3,), size=200, base="gaussian"), Gaussian((3,))),
        (Gaussian((3,)), Gaussian((3,))),
    ],
    ids=["data", "replay", "replay-gaussian", "gaussian"],
)
def test_the_noise_of_an_evaluation_is_noise(init, noise, monkeypatch):
    if isinstance(init, ReplayBuffer):  # as after training: the buffer holds the ends of chains
        init.load_state_dict({"bank": DATA.fetch(torch.arange(80)).repeat(3, 1)[:200]})
    monkeypatch.setattr(measures, "evaluate", lambda sample, noise, *given, n, **settings: [sample(n), noise(n)])
    short = ShortRun(lambda x: x.square().sum(1), Langevin(steps=2), init)
    draws = rng()
    samples, found = measures.evaluate_model(short, DATA, Pixels(DATA), draws, n=70, batch=40)
    again = rng()
    assert torch.equal(short.sample(70, again, batch=40), samples)
    assert torch.equal(torch.cat(list(noise.in_batches(70, again, 40))), found)


def test_values_on_a_device_without_doubles_are_measured():
    x = torch.randn(40, 3, generator=rng())
    there = x.as_subclass(OnMps)
    with pytest.raises(TypeError, match="MPS"):
        there.double()
    assert type(doubles(there)) is Tensor
    assert torch.equal(finite_rows("x", there), x.double())
    other = DATA.fetch(torch.arange(40))
    assert frechet_distance(there, other) == frechet_distance(x, other)
    assert mmd(there, other.as_subclass(OnMps)) == mmd(x, other)
    chains = torch.randn(20, 4, 2, generator=rng())
    assert torch.equal(split_rhat(chains.as_subclass(OnMps)), split_rhat(chains))
