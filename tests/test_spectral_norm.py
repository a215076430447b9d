"""Spectral norm and spectral bound: the norms of the layers, in training, in chains, averaged, saved and recorded."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import BLIND, invoked, train
from networks import SHAPE, images, relative, rng
from safetensors.torch import load_file
from torch import Tensor, nn
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


NORM: dict[str, Any] = {"spectral_norm": True}
BOUND: dict[str, Any] = {"spectral_bound": 0.5}
both = pytest.mark.parametrize("setting", [NORM, BOUND], ids=["norm", "bound"])


def convnet(setting: dict[str, Any], **more: Any) -> ConvNet:
    torch.manual_seed(0)
    return ConvNet(SHAPE, width=4, **setting, **more)


def norms(network: nn.Module) -> list[float]:
    """The largest singular value of each layer, as a matrix, in evaluation mode."""
    layers = [layer for layer in copy.deepcopy(network).eval().modules() if isinstance(layer, LAYERS)]
    return [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]


def training(energy: Energy, **settings) -> Trainer:
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.001)
    return Trainer(energy, Langevin(steps=2), Uniform(SHAPE), optimizer, rng(), **settings)


@pytest.mark.parametrize(("setting", "expected"), [(NORM, 1.0), (BOUND, 0.5), ({"spectral_bound": 2.5}, 2.5)])
@pytest.mark.parametrize("kind", [ConvNet, ResNet])
def test_every_layer_gets_the_norm_of_the_setting(kind, setting, expected):
    torch.manual_seed(0)
    energy = kind((3, 8, 8), width=4, **setting)
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.mul_(10)
    for _ in range(60):
        energy(torch.ones(1, 3, 8, 8))
    assert norms(energy) == pytest.approx([expected] * len(norms(energy)), rel=0.02)


def test_a_bound_that_is_not_reached_changes_nothing():
    plain, bounded = training(convnet({})), training(convnet({"spectral_bound": 100.0}))
    for _ in range(3):
        assert torch.equal(plain.update(images(4)).loss, bounded.update(images(4)).loss)


def test_gradients_go_through_a_bound_that_is_reached():
    energy = convnet(BOUND).double().eval()
    original = energy.layers[0].parametrizations.weight.original

    def value(weight: Tensor) -> Tensor:
        return torch.func.functional_call(energy, {"layers.0.parametrizations.weight.original": weight}, x).sum()

    x = images(2).double()
    weight = original.detach().clone()
    # At the singular vectors themselves, where σ as they give it and σ have the same gradient.
    left, _, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    part = energy.layers[0].parametrizations.weight[0]
    part.left.copy_(left[:, 0]), part.right.copy_(right[0])
    assert torch.autograd.gradcheck(value, weight.requires_grad_(), fast_mode=True)
    assert norms(energy)[0] == pytest.approx(0.5)


def test_without_it_there_are_only_plain_weights():
    torch.manual_seed(0)
    plain = ConvNet(SHAPE, width=4).state_dict()
    assert list(plain) == [f"layers.{layer}.{part}" for layer in (0, 2, 4) for part in ("weight", "bias")]
    assert all(map(torch.equal, plain.values(), convnet({}).state_dict().values()))
    assert "layers.0.parametrizations.weight.original" in convnet(NORM).state_dict()


@both
def test_chains_leave_the_singular_vectors_as_they_are(setting):
    trained = training(convnet(setting))
    before = [buffer.clone() for buffer in trained.energy.buffers()]
    trained.chains(4)
    assert len(before) == 6
    assert all(map(torch.equal, before, trained.energy.buffers()))
    trained.update(images(4))
    assert not all(map(torch.equal, before, trained.energy.buffers()))


@both
def test_averaged_weights_have_the_norm_too(setting):
    trained = training(convnet(setting), average=0.95)
    for index in range(60):
        trained.update(images(4) * (-1) ** index)
    averaged, last = trained.model, trained.energy
    assert not torch.equal(averaged.layers[0].weight, last.layers[0].weight)
    assert norms(averaged) == pytest.approx([setting.get("spectral_bound", 1.0)] * 3, rel=1e-3)


def test_averaging_leaves_modes_as_they_are():
    trained = training(convnet(NORM), average=0.95)
    trained.model.eval()
    trained.update(images(4))
    assert not any(module.training for module in trained.model.modules())


def test_an_average_does_not_change_training_with_it():
    plain, averaged = training(convnet(NORM)), training(convnet(NORM), average=0.9)
    for _ in range(3):
        assert torch.equal(plain.update(images(4)).loss, averaged.update(images(4)).loss)


@pytest.mark.filterwarnings("error::ebmkit.errors.Notice")
@both
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


@both
def test_a_run_with_it_resumes_bitwise(tmp_path, setting):
    ((name, value),) = setting.items()
    changes = {f"energy.{name}": str(value).lower(), "train.average": "0.9", "train.iterations": "6"}
    trained(tmp_path / "straight", changes)
    trained(tmp_path / "stopped", {**changes, "train.iterations": "3"})
    resumed(tmp_path / "stopped", "train.iterations=6")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


@pytest.mark.usefixtures("empty_folder")
@pytest.mark.parametrize(("setting", "end"), [("spectral_norm=true", "_u"), ("spectral_bound=0.5", "left")])
def test_a_model_with_it_is_exported_and_opened(setting, end):
    words = ("-s", "energy.width=4", "-s", f"energy.{setting}", *BLIND, "--iterations", "2")
    train(*words, "--out", "run")
    invoked("export", "run", "model.safetensors")
    assert any(name.endswith(end) for name in load_file("model.safetensors"))
    one, other = (load(place).sample(4, rng()) for place in ("run", Path("model.safetensors")))
    assert torch.equal(one, other)


@conforms("energy", ConvNet, shape=(1, 8, 8), width=4, spectral_norm=True)
def test_the_convnet_with_spectral_norm_conforms(check):
    check()


@conforms("energy", ConvNet, shape=(1, 8, 8), width=4, spectral_bound=0.5)
def test_the_convnet_with_a_spectral_bound_conforms(check):
    check()


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [ConvNet, ResNet])
def test_a_bound_out_of_range_is_refused(kind, wrong):
    with pytest.raises(UsageError, match=r"^spectral_bound must be above 0"):
        kind((1, 8, 8), spectral_bound=wrong)


def test_a_norm_and_a_bound_exclude_each_other():
    with pytest.raises(UsageError, match="spectral_bound and spectral_norm=true exclude each other"):
        ConvNet((1, 8, 8), spectral_norm=True, spectral_bound=2.0)
