"""What a step of each sampler costs: operations and gradients."""

from typing import Any

import pytest
import torch
from samplers_under_test import rng, square
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ebmkit.interfaces import Sampler
from ebmkit.passes import CountedEnergy
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin


class Operations(TorchDispatchMode):
    """Records the operations; views and uninitialised memory are free."""

    FREE = ("view", "_unsafe_view", "detach", "alias", "empty_like", "unsqueeze", "squeeze")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in self.FREE:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class Free:
    """An energy that computes nothing."""

    def __call__(self, x: Tensor) -> Tensor:
        raise AssertionError("the method value_and_grad should be used")

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.view(-1), x


def operations(sampler: Sampler) -> list[str]:
    x = torch.ones(4, 1)
    with Operations() as seen:
        sampler.sample(Free(), x, rng())
    return seen.names


def test_a_langevin_step_is_four_operations_and_a_gradient():
    assert operations(Langevin(steps=2)) == 2 * ["mul", "sub", "normal_", "add_"]
    assert operations(Langevin(steps=2, noise=0)) == 2 * ["mul", "sub"]


def test_a_leapfrog_is_two_operations_and_a_gradient():
    one, other = (operations(HMC(steps=1, leapfrog=leapfrog)) for leapfrog in (1, 4))
    assert len(other) - len(one) == 3 * 2
    assert len(one) <= 40


def passes(sampler: Sampler) -> int:
    """How many passes one chain takes."""
    counted: list[None] = []
    sampler.sample(CountedEnergy(square, lambda: counted.append(None)), torch.ones(2, 3), rng())
    return len(counted)


@pytest.mark.parametrize("steps", [1, 7])
def test_langevin_takes_one_gradient_a_step(steps: int):
    assert passes(Langevin(steps=steps)) == steps


@pytest.mark.parametrize(("steps", "leapfrog"), [(1, 1), (5, 1), (3, 4)])
def test_hmc_takes_one_gradient_a_leapfrog_and_one_more(steps: int, leapfrog: int):
    assert passes(HMC(steps=steps, leapfrog=leapfrog)) == steps * leapfrog + 1
