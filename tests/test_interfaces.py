"""How samplers evaluate an energy: shapes, gradients, modes; and the small helpers of the interfaces."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from samplers_under_test import SAMPLERS, Network, modes, rng, square
from torch import Tensor, nn

from ebmkit import interfaces
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import energy_values, eval_mode, noise_like, per_example, value_and_grad


@pytest.mark.parametrize("energy", [square, lambda x: square(x).unsqueeze(1)], ids=["(B,)", "(B, 1)"])
def test_an_energy_may_return_a_column_or_a_vector(energy: Callable[[Tensor], Tensor]):
    x = torch.randn(5, 2, 3, generator=rng())
    value, gradient = value_and_grad(energy, x)
    torch.testing.assert_close(value, square(x))
    torch.testing.assert_close(gradient, x)
    assert not value.requires_grad
    assert not gradient.requires_grad


def test_a_single_example_keeps_its_axes():
    value, gradient = value_and_grad(lambda x: square(x).unsqueeze(1), torch.ones(1, 2))
    assert value.shape == (1,)
    assert gradient.shape == (1, 2)


@pytest.mark.parametrize(
    "energy",
    [
        lambda x: x,
        lambda x: x.sum(),
        lambda x: square(x)[:-1],
        lambda x: square(x).unsqueeze(0),
        lambda x: square(x)[:, None, None],
    ],
)
def test_an_energy_of_another_shape_is_refused(energy: Callable[[Tensor], Tensor]):
    with pytest.raises(ValueError, match="expected one energy per example"):
        value_and_grad(energy, torch.ones(4, 3))


@pytest.mark.parametrize(
    "energy",
    [
        lambda x: square(x.detach()),
        lambda x: torch.ones(len(x)),
        lambda x: square(x.detach()) * nn.Parameter(torch.ones(())),
    ],
    ids=["detached", "constant", "detached with parameters"],
)
def test_an_energy_that_does_not_depend_on_x_is_refused(energy: Callable[[Tensor], Tensor]):
    with pytest.raises(ValueError, match="does not depend on x"):
        value_and_grad(energy, torch.ones(4, 3))


def test_dropout_is_off_and_every_mode_is_restored():
    network, x = Network().train(), torch.randn(6, 3, generator=rng())
    network.layers[1].eval()
    before = modes(network)
    assert len(set(before)) == 2
    first, second = value_and_grad(network, x), value_and_grad(network, x)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[0], network.eval()(x).flatten().detach())
    for module, mode in zip(network.modules(), before, strict=True):
        module.training = mode
    value_and_grad(network, x)
    assert modes(network) == before


def test_eval_mode_is_for_modules_and_plain_callables():
    network = Network().train()
    with eval_mode(network):
        assert not any(modes(network))
    assert all(modes(network))
    with eval_mode(square):
        pass


def test_a_submodule_in_training_inside_eval_mode_is_restored():
    network, x = Network().eval(), torch.randn(6, 3, generator=rng())
    expected = value_and_grad(network, x)
    network.train()
    with eval_mode(network):
        network.layers[3].train()
        for found, wanted in zip(value_and_grad(network, x), expected, strict=True):
            assert torch.equal(found, wanted)
        assert modes(network) == [module is network.layers[3] for module in network.modules()]
    assert all(modes(network))


def test_eval_mode_handles_shared_missing_and_cyclic_modules():
    network = Network().train()
    network.add_module("again", network.layers)
    network.add_module("missing", None)
    network.layers[2].add_module("owner", network)
    with eval_mode(network):
        assert not any(modes(network))
    assert all(modes(network))


def test_no_context_is_entered_if_the_modes_are_right(monkeypatch: pytest.MonkeyPatch):
    """At every step, contexts and a search for submodules would cost a small network a fifth of its time."""
    network, x = Network().eval(), torch.ones(2, 3)
    expected = value_and_grad(network, x)

    def forbidden(*_: Any) -> None:
        raise AssertionError("a context was entered although there is nothing to change")

    monkeypatch.setattr(interfaces, "eval_mode", forbidden)
    monkeypatch.setattr(torch, "enable_grad", forbidden)
    monkeypatch.setattr(torch, "inference_mode", forbidden)
    assert torch.equal(value_and_grad(network, x)[1], expected[1])


def test_the_method_value_and_grad_of_an_energy_is_used():
    class Own:
        calls = 0

        def __call__(self, x: Tensor) -> Tensor:
            raise AssertionError("the method value_and_grad should be used")

        def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
            self.calls += 1
            return square(x), x

    own = Own()
    x = torch.randn(3, 2, generator=rng())
    assert torch.equal(value_and_grad(own, x)[1], x)
    for sampler in SAMPLERS.values():
        torch.testing.assert_close(sampler.sample(own, x, rng()), sampler.sample(square, x, rng()))
    assert own.calls == 1 + 4 + 2 * 13


def test_noise_does_not_depend_on_the_memory_format():
    x = torch.zeros(2, 3, 4, 4)
    assert torch.equal(noise_like(x, rng()), noise_like(x.to(memory_format=torch.channels_last), rng()))


def test_values_per_example_broadcast():
    values = torch.arange(3.0)
    assert per_example(torch.zeros(3, 2, 4, 4), values).shape == (3, 1, 1, 1)


def test_a_plain_init_has_no_state_and_refuses_one():
    init = Uniform((2,))
    init.remember(torch.zeros(1, 2))
    assert init.state_dict() == {}
    init.load_state_dict({})
    with pytest.raises(ValueError, match="has no state"):
        init.load_state_dict({"bank": torch.zeros(1)})


def test_an_error_of_the_energy_is_not_tried_again_with_a_graph():
    calls = []

    def failing(x: Tensor) -> Tensor:
        calls.append(torch.is_grad_enabled())
        raise RuntimeError("out of memory")

    with torch.no_grad(), pytest.raises(RuntimeError, match="out of memory"):
        energy_values(failing, torch.ones(2, 3))
    assert calls == [False]
