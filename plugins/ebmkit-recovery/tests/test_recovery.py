"""The method and its networks: the requirements of the kit, the noise levels, and what is refused."""

import math
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from ebmkit_recovery.energy import GivenNoisier
from ebmkit_recovery.levels import paper_levels
from ebmkit_recovery.method import RecoveryLikelihood
from ebmkit_recovery.network import Embedding, LevelDense
from ebmkit_recovery.resnet import LevelResNet
from torch import nn

from ebmkit import UsageError, role
from ebmkit.testing import conforms


class OfPoints(RecoveryLikelihood):
    __doc__ = RecoveryLikelihood.__doc__

    roles: ClassVar = {**RecoveryLikelihood.roles, "network": role("network", "level-dense", width=8, embedding=4)}


class OfImages(RecoveryLikelihood):
    __doc__ = RecoveryLikelihood.__doc__

    roles: ClassVar = {**RecoveryLikelihood.roles, "network": role("network", "level-resnet", width=4, blocks=1)}


@conforms("method", OfPoints, levels=3, weighting="equal")
def test_the_method_conforms_on_points(check: Callable[[], None]):
    check()


@conforms("method", OfImages, shape=(1, 8, 8), levels=2)
def test_the_method_conforms_on_images(check: Callable[[], None]):
    check()


@conforms("network", LevelDense, width=8, embedding=4)
def test_the_network_of_points_conforms(check: Callable[[], None]):
    check()


@conforms("network", LevelResNet, width=4, shape=(1, 8, 8))
def test_the_network_of_images_conforms(check: Callable[[], None]):
    check()


@pytest.mark.parametrize("count", [2, 6, 26])
def test_the_levels_are_those_of_the_code_of_the_paper(count: int):
    keeps = [math.sqrt(1 - 1e-4 - (0.02 - 1e-4) * step / 999) for step in range(1000)]
    ends = [level * (1000 // (2 * (count - 1))) for level in range(count)] + [999]
    factors = [math.prod(keeps[before + 1 : after + 1]) for before, after in zip([-1, *ends], ends, strict=False)]
    levels = paper_levels(count, torch.device("cpu"))
    torch.testing.assert_close(levels.a, torch.tensor(factors[1:]))
    torch.testing.assert_close(levels.kept, torch.tensor(factors[:-1]).cumprod(0))
    torch.testing.assert_close(levels.spread.square(), 1 - levels.kept.square(), atol=1e-6, rtol=0)
    torch.testing.assert_close(levels.scale, torch.tensor([*factors[1:-1], 1.0]))
    assert levels.pull[-1] == 0
    assert levels.spread[0] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("count", [1, 0, 502])
def test_a_number_of_levels_out_of_range_is_refused(count: int):
    with pytest.raises(UsageError, match=r"^levels must be "):
        paper_levels(count, torch.device("cpu"))


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (LevelDense, {"width": 0}, "width must be "),
        (LevelDense, {"depth": 0}, "depth must be "),
        (LevelDense, {"embedding": 2}, "embedding must be "),
        (LevelDense, {"embedding": 5}, "embedding must be even, not 5"),
        (LevelResNet, {"width": 7}, "width must be even, not 7"),
        (LevelResNet, {"stages": 0}, "stages must be "),
        (LevelResNet, {"blocks": 0}, "blocks must be "),
        (LevelResNet, {"stages": 5}, "level-resnet with 5 stages takes images .* multiples of 16"),
    ],
)
def test_settings_of_networks_out_of_range_are_refused(network: type, settings: dict[str, int], message: str):
    with pytest.raises(UsageError, match=f"^{message}") as caught:
        network((1, 8, 8), (1,), **settings)
    assert "\n" not in str(caught.value)


def test_points_are_refused_by_the_network_of_images():
    with pytest.raises(UsageError, match=r"for points choose level-dense$"):
        LevelResNet((2,), (1,))


@pytest.mark.parametrize("network", [LevelDense((1, 8, 8), (1,), embedding=8), LevelResNet((1, 8, 8), (1,), width=8)])
def test_an_example_has_another_value_at_each_level(network: nn.Module):
    x = torch.rand(1, 1, 8, 8).expand(6, 1, 8, 8)
    found = network.eval()(x, torch.arange(6)).flatten()
    assert len(found.unique()) == 6
    torch.testing.assert_close(network(x), found[:1].unsqueeze(1).expand(6, 1))


def test_the_activation_is_between_the_layers():
    for name, expected in (("silu", nn.functional.silu), ("leaky_relu", lambda h: nn.functional.leaky_relu(h, 0.2))):
        network = LevelDense((2,), (1,), width=8, depth=1, embedding=4, activation=name)
        x, level = torch.randn(5, 2), torch.full((5,), 2)
        e = network.embedding(x, level)
        h = expected(network.layers[0](x) + network.shifts[0](e))
        torch.testing.assert_close(network(x, level), network.last(h * network.gate(e)))


def test_the_frequencies_of_the_embedding_are_geometric():
    embedding = Embedding(8, 5, nn.SiLU())
    torch.testing.assert_close(embedding.frequencies, torch.tensor([1.0, 10 ** (-4 / 3), 10 ** (-8 / 3), 1e-4]))


def test_the_conditional_energy_is_its_formula_in_units_of_the_level():
    levels, network = paper_levels(6, torch.device("cpu")), LevelDense((2,), (1,), width=8, embedding=4)
    noisier, v, level = torch.randn(4, 2), torch.randn(4, 2), torch.tensor([0, 3, 5, 3])
    found = GivenNoisier(network, levels, 50.0, noisier, level)(v)
    for i, t in enumerate(level.tolist()):
        y = levels.length[t] * v[i]
        pull = 0.0 if t == 5 else float((noisier[i] - y).square().sum() / (2 * levels.sigma[t] ** 2))
        value = network(y.unsqueeze(0), level[i : i + 1]).item() * 50.0 / float(levels.length[t]) ** 2
        assert found[i].item() == pytest.approx(pull - value, rel=1e-4, abs=1e-4)
