"""Chains measured on the way."""

import copy
import math

import pytest
import torch
from trainers import SHAPE, rng, same, well

from ebmkit.interfaces import State
from ebmkit.methods.chains import follow, norms
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin


def test_the_ends_and_the_steps_of_a_chain_are_measured():
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
    end, measured = follow(start, iter(states))
    assert torch.equal(end, last.x)
    assert {key: value.item() for key, value in measured.items()} == pytest.approx(
        {
            "start_gradient": (1 + 3) / 2,
            "end_gradient": 5.0,
            "displacement": ((5 + 0) / 2 + (0 + 1) / 2 + math.sqrt(2)) / 3,
            "accepted": (0.5 + 1 + 0.5) / 3,
            "nonfinite": (0.5 + 0 + 0) / 3,
        }
    )


def test_only_what_the_sampler_reports_is_measured():
    start = torch.rand(4, *SHAPE, generator=rng(), dtype=torch.float64)
    langevin = follow(start, Langevin(steps=2).chain(well(), start, rng()))[1]
    assert set(langevin) == {"start_gradient", "end_gradient", "displacement"}
    torch.testing.assert_close(langevin["start_gradient"], start.norm(dim=1).mean())
    adjusted = follow(start, HMC(steps=2).chain(well(), start, rng()))[1]
    assert set(adjusted) == {*langevin, "accepted", "nonfinite"}
    assert set(follow(start, [State(start + 3, {})])[1]) == {"displacement"}


def test_states_are_not_written_to():
    start = torch.rand(4, *SHAPE, generator=rng(), dtype=torch.float64)
    states = list(HMC(steps=3).chain(well(), start, rng()))
    kept = copy.deepcopy((start, states))
    follow(start, states)
    assert torch.equal(start, kept[0])
    for state, old in zip(states, kept[1], strict=True):
        assert torch.equal(state.x, old.x)
        assert same(state.info, old.info)


def test_measuring_does_not_wait_for_the_device():
    # Reading a value from the meta device raises.
    x, seen = torch.ones(4, 3, device="meta"), torch.ones(4, dtype=torch.bool, device="meta")
    states = [State(x + 1, {"gradient": x, "accepted": seen, "nonfinite": seen}) for _ in range(3)]
    end, measured = follow(x, states)
    assert end is states[-1].x
    assert {(key, value.shape) for key, value in measured.items()} == {
        (key, ()) for key in ("start_gradient", "end_gradient", "displacement", "accepted", "nonfinite")
    }


def test_the_measured_values_can_be_differentiated():
    start = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    measured = follow(start, Langevin(steps=2, step_size=0.1, noise=0).chain(well(), start, rng()))[1]
    measured["displacement"].backward()
    expected = (0.1 + 0.1 * 0.9) / 2 / 2 / math.sqrt(3)
    torch.testing.assert_close(start.grad, torch.full((2, 3), expected, dtype=torch.float64))


def test_norms_are_over_all_elements_of_an_example():
    x = torch.stack([torch.full((2, 2), 1.0), torch.full((2, 2), 3.0)])
    assert norms(x).tolist() == pytest.approx([2, 6])
