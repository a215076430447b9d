"""Parity: contenders that do not end where the plain loop ends are refused."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from benchmark_cases import another, contenders, examine, network, parity
from torch import nn

from ebmkit.samplers.hmc import HMC


def test_ebmkit_ends_where_the_plain_loop_ends():
    distances, refused = examine(contenders.chains(("fp32",)))
    assert not refused
    assert list(distances) == ["plain loop", "ebmkit", "ebmkit, accelerated fp32"]
    _, refused = examine(contenders.trajectories(("fp32",)), (HMC(step_size=0.02, leapfrog=5),))
    assert not refused


def test_an_update_gives_the_weights_of_the_plain_loop():
    rivals = contenders.updates(("fp32",), partial(torch.optim.SGD, lr=1.0))
    distances, refused = examine(rivals)
    assert not refused
    assert len(distances) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda rule: replace(rule, step_size=1.01 * rule.step_size),
        lambda rule: replace(rule, noise=1.01 * rule.noise),
        lambda rule: replace(rule, noise=rule.noise + 1e-3),
    ],
)
def test_another_step_size_or_noise_is_refused(change):
    distances, refused = examine([*contenders.chains(("fp32",)), another("wrong", change)])
    assert list(refused) == ["wrong"]
    assert "away from that of the plain loop" in refused["wrong"]
    assert distances["wrong"] > 1e-4


def test_other_leapfrogs_and_updates_are_refused():
    wrong = another("wrong", lambda rule: replace(rule, leapfrog=4), contenders.plain_hmc)
    rules = (HMC(step_size=0.02, leapfrog=5),)
    assert list(examine([*contenders.trajectories(()), wrong], rules)[1]) == ["wrong"]
    optimizer = partial(torch.optim.SGD, lr=1.0)
    wrong = another("wrong", lambda rule: replace(rule, step_size=1.1), partial(contenders.plain_update, optimizer))
    assert list(examine([*contenders.updates((), optimizer), wrong])[1]) == ["wrong"]


def test_an_end_that_is_nan_is_refused():
    lost = contenders.Contender("lost", lambda energy, rule: lambda x, steps, rng: x * torch.nan)
    distances, refused = examine([*contenders.chains(()), lost])
    assert list(refused) == ["lost"]
    assert distances["lost"] == torch.inf


def test_lower_precision_has_and_needs_a_wider_bound():
    low = contenders.chains(("fp32", "bf16"))
    distances, refused = examine(low)
    assert not refused
    rounded = {one.name for one in low if one.precision == "bf16"}
    assert rounded == {"plain loop, bf16", "ebmkit, accelerated bf16"}
    assert all((distance > 1e-4) == (name in rounded) for name, distance in distances.items())


def test_what_is_not_accelerated_is_refused_by_that_name():
    class Uncertain(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(192, 1)

        def forward(self, x):
            value = self.layer(x.flatten(1)).sin().flatten()
            return value if float(value.sum().detach()) > -1e9 else -value

    _, refused = examine(contenders.chains(("fp32",)), energy=Uncertain())
    assert list(refused) == ["ebmkit, accelerated fp32"]
    assert "cannot be recorded" in refused["ebmkit, accelerated fp32"]


def test_each_accelerated_contender_is_also_compiled():
    names = [one.name for one in contenders.chains(("fp32", "tf32"), compiled=True)]
    assert names == [
        *("plain loop", "plain loop, tf32", "ebmkit"),
        *("ebmkit, accelerated fp32", "ebmkit, compiled fp32", "ebmkit, accelerated tf32", "ebmkit, compiled tf32"),
    ]


def test_the_global_state_and_the_generator_are_seeded():
    both = parity.seeded(
        lambda x, steps, rng: (torch.randn(steps), torch.randn(steps, generator=rng)), torch.ones(1), 20
    )
    assert torch.equal(*both)


def test_a_network_is_scaled_to_the_given_slope():
    x = torch.rand(4, 3, 8, 8)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(parity.with_slope(network(), x, slope=0.3)(leaf).sum(), leaf)
    assert float(gradient.square().mean().sqrt()) == pytest.approx(0.3, rel=1e-4)
