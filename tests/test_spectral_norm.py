"""Spectral normalisation: the norms of the layers, in training, in chains, averaged, saved and recorded."""

import copy
from pathlib import Path

import pytest
import torch
from commands import BLIND, invoked, train
from networks import SHAPE, images, relative, rng
from safetensors.torch import load_file
from torch import nn
from training_runs import assert_same_run, resumed, trained

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.resnet import ResNet
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import Energy, value_and_grad
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.runs.model import load
from ebmkit.samplers.langevin import Langevin
from ebmkit.testing import conforms

LAYERS = (nn.Conv2d, nn.Linear)


def convnet(spectral_norm: bool | float, **settings) -> ConvNet:
    torch.manual_seed(0)
    return ConvNet(SHAPE, width=4, spectral_norm=spectral_norm, **settings)


def norms(network: nn.Module) -> list[float]:
    """The largest singular value of each layer, as a matrix, in evaluation mode."""
    layers = [layer for layer in copy.deepcopy(network).eval().modules() if isinstance(layer, LAYERS)]
    return [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]


def training(energy: Energy, **settings) -> Trainer:
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.02)
    return Trainer(energy, Langevin(steps=2), Uniform(SHAPE), optimizer, rng(), **settings)


@pytest.mark.parametrize(("setting", "expected"), [(True, 1.0), (1.0, 1.0), (2.5, 2.5), (0.5, 0.5)])
@pytest.mark.parametrize("kind", [ConvNet, ResNet])
def test_every_layer_has_the_norm_of_the_setting(kind, setting, expected):
    torch.manual_seed(0)
    energy = kind((3, 8, 8), width=4, spectral_norm=setting)
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.mul_(3)
    for _ in range(60):
        energy(torch.ones(1, 3, 8, 8))
    assert norms(energy) == pytest.approx([expected] * len(norms(energy)), rel=0.02)


def test_without_it_there_are_only_plain_weights():
    torch.manual_seed(0)
    plain = ConvNet(SHAPE, width=4).state_dict()
    assert list(plain) == [f"layers.{layer}.{part}" for layer in (0, 2, 4) for part in ("weight", "bias")]
    assert all(map(torch.equal, plain.values(), convnet(False).state_dict().values()))
    assert "layers.0.parametrizations.weight.original" in convnet(True).state_dict()


def test_chains_leave_the_singular_vectors_as_they_are():
    trained = training(convnet(True))
    before = [buffer.clone() for buffer in trained.energy.buffers()]
    trained.chains(4)
    assert len(before) == 6
    assert all(map(torch.equal, before, trained.energy.buffers()))
    trained.update(images(4))
    assert not all(map(torch.equal, before, trained.energy.buffers()))


def test_averaged_weights_have_the_norm_too():
    trained = training(convnet(2.0), average=0.95)
    for index in range(40):
        trained.update(images(4) * (-1) ** index)
    averaged, last = trained.model, trained.energy
    assert not torch.equal(averaged.layers[0].weight, last.layers[0].weight)
    assert norms(averaged) == pytest.approx([2.0] * 3, rel=0.01)


def test_averaging_leaves_modes_as_they_are():
    trained = training(convnet(2.0), average=0.95)
    trained.model.eval()
    trained.update(images(4))
    assert not any(module.training for module in trained.model.modules())


def test_an_average_does_not_change_training_with_it():
    plain, averaged = training(convnet(True)), training(convnet(True), average=0.9)
    for _ in range(3):
        assert torch.equal(plain.update(images(4)).loss, averaged.update(images(4)).loss)


@pytest.mark.filterwarnings("error::ebmkit.errors.Notice")
@pytest.mark.parametrize("setting", [True, 2.0])
def test_passes_with_it_are_recorded(setting):
    energy, x = convnet(setting, activation="silu"), images()
    exact, rough = Accelerated(energy), Accelerated(energy, precision="bf16")
    for _ in range(3):
        energy.train()(x)
        with torch.no_grad():
            for parameter in energy.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=rng(1)))
        value, gradient = value_and_grad(energy, x)
        found = exact.refreshed(energy).value_and_grad(x)
        torch.testing.assert_close(found[0], value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[1], gradient, rtol=1e-4, atol=1e-5)
        assert relative(rough.refreshed(energy).value_and_grad(x)[1], gradient) < 0.05
    assert exact.twin.replay(x) is not None
    assert rough.twin.replay(x) is not None


def test_a_run_with_it_resumes_bitwise(tmp_path):
    changes = {"energy.spectral_norm": "2.0", "train.average": "0.9", "train.iterations": "6"}
    trained(tmp_path / "straight", changes)
    trained(tmp_path / "stopped", {**changes, "train.iterations": "3"})
    resumed(tmp_path / "stopped", "train.iterations=6")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


@pytest.mark.usefixtures("empty_folder")
def test_a_model_with_it_is_exported_and_opened():
    words = ("-s", "energy.width=4", "-s", "energy.spectral_norm=true", *BLIND, "--iterations", "2")
    train(*words, "--out", "run")
    invoked("export", "run", "model.safetensors")
    assert any(name.endswith("_u") for name in load_file("model.safetensors"))
    one, other = (load(place).sample(4, rng()) for place in ("run", Path("model.safetensors")))
    assert torch.equal(one, other)


@conforms("energy", ConvNet, shape=(1, 8, 8), width=4, spectral_norm=2.0)
def test_the_convnet_with_spectral_norm_conforms(check):
    check()


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [ConvNet, ResNet])
def test_a_norm_out_of_range_is_refused(kind, wrong):
    with pytest.raises(UsageError, match=r"^spectral_norm must be "):
        kind((1, 8, 8), spectral_norm=wrong)
