"""Every energy: its shapes, its gradients, its copies; and the networks."""

import copy
import math
from typing import Any, get_args

import pytest
import torch
from torch import Generator, nn

from ebmkit.energies.activations import Activation, activation_layer
from ebmkit.energies.analytic import DoubleWell, GaussianEnergy, Mixture
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet
from ebmkit.errors import UsageError
from ebmkit.interfaces import Energy, value_and_grad

FULL = torch.tensor([[2.0, 0.6, 0.0], [0.6, 0.5, 0.1], [0.0, 0.1, 1.5]], dtype=torch.float64)

CASES: dict[str, tuple[type[Any], tuple[int, ...], dict[str, Any]]] = {
    "convnet": (ConvNet, (3, 16, 16), {"width": 4}),
    "resnet": (ResNet, (3, 8, 16), {"width": 4, "stages": 2}),
    "resnet-spectral": (ResNet, (1, 8, 8), {"width": 4, "spectral_norm": True}),
    "mlp": (MLP, (2, 3), {"width": 8}),
    "gaussian": (GaussianEnergy, (2, 3), {"mean": 0.5, "precision": 2.0}),
    "gaussian-diagonal": (GaussianEnergy, (3,), {"precision": (0.5, 1.0, 2.0)}),
    "gaussian-full": (GaussianEnergy, (3, 1), {"precision": FULL.float()}),
    "mixture": (Mixture, (2, 2), {}),
    "double_well": (DoubleWell, (3,), {}),
}

every_energy = pytest.mark.parametrize("case", CASES)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def build(case: str) -> tuple[Energy, tuple[int, ...]]:
    torch.manual_seed(0)
    kind, shape, settings = CASES[case]
    return kind(shape, **settings), shape


def parameters(energy: nn.Module) -> int:
    return sum(parameter.numel() for parameter in energy.parameters())


@every_energy
def test_the_energy_of_an_example_ignores_the_others(case: str):
    energy, shape = build(case)
    x = torch.randn(5, *shape, generator=rng())
    for training in (False, True):
        energy.train(training)
        # A forward pass in training mode may refine the spectral norms.
        energies = copy.deepcopy(energy)(x)
        assert energies.shape == (5,)
        assert energies.dtype == torch.float32
        changed = x.clone()
        changed[2] += 1
        same = torch.isclose(copy.deepcopy(energy)(changed), energies, rtol=1e-5, atol=1e-7)
        assert same.tolist() == [True, True, False, True, True]
        torch.testing.assert_close(copy.deepcopy(energy)(x[:1]), energies[:1], rtol=1e-5, atol=1e-6)


@every_energy
def test_gradients_reach_x_and_every_parameter(case: str):
    energy, shape = build(case)
    x = torch.randn(5, *shape, generator=rng())
    _, gradient = value_and_grad(energy, x)
    assert (gradient != 0).flatten(1).any(1).all()
    energy(x.requires_grad_()).square().sum().backward()
    for name, parameter in energy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


@every_energy
def test_state_dict_and_deepcopy_give_the_same_energy(case: str):
    energy, shape = build(case)
    x = torch.randn(5, *shape, generator=rng())
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.1)
    energy.eval()
    torch.manual_seed(1)
    kind, _, settings = CASES[case]
    other = kind(shape, **settings).eval()
    other.load_state_dict(energy.state_dict())
    assert torch.equal(other(x), energy(x))
    twin = copy.deepcopy(energy)
    assert torch.equal(twin(x), energy(x))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5).add_(1)
    if parameters(energy):
        assert not torch.equal(twin(x), energy(x))
        assert torch.equal(other(x), energy(x))


@every_energy
def test_gradients_are_those_of_the_energy(case: str):
    energy, shape = build(case)
    energy = energy.double().eval()
    x = torch.randn(2, *shape, generator=rng(), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: energy(x).sum(), x, fast_mode=True)


@pytest.mark.parametrize(
    ("size", "width", "count"),
    [
        (32, 32, 693_569),
        (32, 64, 2_763_393),
        (32, 128, 11_031_809),
        (64, 64, 6_958_209),
        (128, 64, 11_153_025),
    ],
)
def test_the_convnet_is_as_large_as_that_of_the_paper(size: int, width: int, count: int):
    with torch.device("meta"):
        energy = ConvNet((3, size, size), width=width)
    assert parameters(energy) == count
    assert energy(torch.empty(2, 3, size, size, device="meta")).shape == (2,)


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("channels", [1, 4])
def test_the_convnet_accepts_small_images_of_any_channels(size: int, channels: int):
    assert ConvNet((channels, size, size), width=4)(torch.ones(2, channels, size, size)).shape == (2,)


@pytest.mark.parametrize("shape", [(3, 33, 33), (3, 32, 64), (1, 28, 28), (32, 32), (2,), (3, 256, 256)], ids=str)
def test_the_convnet_says_which_images_it_needs(shape: tuple[int, ...]):
    with pytest.raises(UsageError, match=r"8, 16, 32, 64 or 128 pixels.*-s data\.size=32") as caught:
        ConvNet(shape)
    assert str(shape) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_resnet_of_igebm_has_its_size():
    # 3x3 to 128 maps; 128-128 twice; 128-256 with a 1x1 skip and 256-256; 256-256 twice; one output.
    def conv(before: int, after: int, side: int = 3) -> int:
        return before * after * side**2 + after

    expected = conv(3, 128) + 4 * conv(128, 128) + conv(128, 256) + conv(128, 256, 1) + conv(256, 256)
    expected += 6 * conv(256, 256) + 257
    with torch.device("meta"):
        assert parameters(ResNet((3, 32, 32), width=128)) == expected


@pytest.mark.parametrize(("shape", "stages"), [((1, 8, 8), 3), ((3, 12, 20), 2), ((2, 6, 2), 1), ((3, 16, 48), 4)])
@pytest.mark.parametrize("blocks", [1, 3])
def test_the_resnet_accepts_any_image_that_divides(shape: tuple[int, ...], stages: int, blocks: int):
    energy = ResNet(shape, width=4, stages=stages, blocks=blocks)
    assert energy(torch.ones(2, *shape)).shape == (2,)
    assert energy.layers(torch.ones(2, *shape)).shape[2:] == (shape[1] // 2**stages, shape[2] // 2**stages)


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 32, 36), (3, 36, 32), (32, 32), (8,)], ids=str)
def test_the_resnet_says_which_images_it_needs(shape: tuple[int, ...]):
    with pytest.raises(UsageError, match=r"multiples of 8.*-s data\.size=32") as caught:
        ResNet(shape)
    assert str(shape) in str(caught.value)
    with pytest.raises(UsageError, match=r"multiples of 64.*-s data\.size=64"):
        ResNet((3, 32, 32), stages=6)


def test_the_resnet_sums_over_the_image():
    energy, x = ResNet((1, 8, 16), width=4), torch.randn(3, 1, 8, 16, generator=rng())
    torch.testing.assert_close(energy(x), energy.output(energy.layers(x).flatten(2).sum(2)).flatten())


def test_the_spectral_norm_bounds_every_layer():
    torch.manual_seed(0)
    energy = ResNet((3, 8, 8), width=8, stages=2, spectral_norm=True).train()
    plain = ResNet((3, 8, 8), width=8, stages=2).train()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.mul_(3)
    for _ in range(40):
        energy(torch.ones(1, 3, 8, 8))
    energy.eval()

    def norms(network: nn.Module) -> list[float]:
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        return [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]

    assert len(norms(energy)) == len(norms(plain)) == 1 + 8 + 1 + 1
    assert norms(energy) == pytest.approx([1.0] * 11, abs=0.02)
    assert not any(abs(norm - 1) < 1e-6 for norm in norms(plain))


@pytest.mark.parametrize("shape", [(2,), (1,), (2, 3), (3, 8, 8)], ids=str)
def test_the_mlp_accepts_any_shape(shape: tuple[int, ...]):
    energy = MLP(shape, width=16, depth=2)
    assert energy(torch.ones(4, *shape)).shape == (4,)
    assert parameters(energy) == (math.prod(shape) + 1) * 16 + 17 * 16 + 17


@pytest.mark.parametrize("name", get_args(Activation))
@pytest.mark.parametrize(("kind", "shape"), [(ConvNet, (1, 8, 8)), (ResNet, (1, 8, 8)), (MLP, (2,))])
def test_the_activation_is_between_all_layers(name: Activation, kind: type[Any], shape: tuple[int, ...]):
    energy = kind(shape, width=2, activation=name, slope=0.3)
    expected = activation_layer(name, 0.3)
    others = (nn.Conv2d, nn.Linear, nn.Sequential, nn.AvgPool2d, nn.Identity, Energy)
    activations = [m for m in energy.modules() if not isinstance(m, others) and type(m).__name__ != "Block"]
    assert len(activations) >= 2
    assert {repr(activation) for activation in activations} == {repr(expected)}


@pytest.mark.parametrize(
    ("kind", "shape", "settings"),
    [
        (ConvNet, (1, 8, 8), {"width": 0}),
        (ConvNet, (1, 8, 8), {"slope": 1.0}),
        (ResNet, (1, 8, 8), {"width": 0}),
        (ResNet, (1, 8, 8), {"stages": 0}),
        (ResNet, (1, 8, 8), {"blocks": 0}),
        (ResNet, (1, 8, 8), {"slope": -0.1}),
        (MLP, (2,), {"width": 0}),
        (MLP, (2,), {"depth": 0}),
        (MLP, (2,), {"slope": math.nan}),
        (GaussianEnergy, (2,), {"mean": math.nan}),
        (GaussianEnergy, (2,), {"mean": torch.zeros(3)}),
        (GaussianEnergy, (2,), {"mean": torch.tensor([0.0, math.inf])}),
        (GaussianEnergy, (2,), {"precision": 0.0}),
        (GaussianEnergy, (2,), {"precision": math.inf}),
        (GaussianEnergy, (2,), {"precision": math.nan}),
        (GaussianEnergy, (2,), {"precision": (1.0, -1.0)}),
        (GaussianEnergy, (2,), {"precision": (1.0, 1.0, 1.0)}),
        (GaussianEnergy, (2,), {"precision": torch.ones(2, 3)}),
        (GaussianEnergy, (2,), {"precision": torch.tensor([[1.0, 0.5], [0.4, 1.0]])}),
        (GaussianEnergy, (2,), {"precision": torch.tensor([[1.0, 2.0], [2.0, 1.0]])}),
        (GaussianEnergy, (2,), {"precision": torch.full((2, 2), math.nan)}),
        (Mixture, (2,), {"modes": 0}),
        (Mixture, (2,), {"radius": -1.0}),
        (Mixture, (2,), {"scale": 0.0}),
        (Mixture, (2,), {"centres": torch.zeros(4, 3)}),
        (Mixture, (2,), {"centres": torch.zeros(0, 2)}),
        (Mixture, (2,), {"centres": torch.full((1, 2), math.nan)}),
        (DoubleWell, (2,), {"height": 0.0}),
        (DoubleWell, (2,), {"separation": -1.0}),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_in_one_line(
    kind: type[Any], shape: tuple[int, ...], settings: dict[str, Any]
):
    with pytest.raises(UsageError, match=f"^{next(iter(settings))} must be ") as caught:
        kind(shape, **settings)
    assert "\n" not in str(caught.value)
