"""The kit's checks of energies: the built-in ones pass, and each planted fault fails exactly its checks."""

import pytest
import torch
from faulty.energies import FAULTS, OWN, Good
from torch import Tensor, nn

from ebmkit.energies.analytic import DoubleWell, GaussianEnergy, Mixture
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet
from ebmkit.interfaces import energy_values, eval_mode, value_and_grad
from ebmkit.testing import conforms, kit, saving, slopes
from ebmkit.testing import energies as home
from ebmkit.testing.globals import changed_by
from ebmkit.testing.kit import Subject

FULL = torch.tensor([[2.0, 0.6, 0.0], [0.6, 0.5, 0.1], [0.0, 0.1, 1.5]])
HOMES = (home.__name__, saving.__name__, slopes.__name__)
EVERYTHING = {name: check for name, check in kit.checks("energy").items() if check.__module__ in HOMES}


def failed(part: Subject) -> dict[str, str]:
    outcomes = [kit.outcome(name, check, part) for name, check in EVERYTHING.items()]
    return {one.check: one.reason for one in outcomes if one.verdict == "failed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_exactly_its_checks(fault):
    target, expected = FAULTS[fault]
    found = failed(Subject("energy", target, shape=(2, 4, 4)))
    assert set(found) == expected, found
    assert not [reason for reason in found.values() if "\n" in reason]


def test_every_check_detects_a_fault():
    assert set().union(*(expected for _, expected in FAULTS.values())) == set(EVERYTHING)


@pytest.mark.parametrize("shape", [(2,), (1,), (3, 4, 4)], ids=str)
def test_a_valid_energy_passes_every_check(shape):
    assert failed(Subject("energy", Good, shape=shape)) == {}


def test_what_an_energy_does_not_promise_is_not_tested():
    outcomes = kit.examine(Subject("energy", Good))
    assert {one.check for one in outcomes if one.verdict == "not promised"} == {
        OWN,
        "piecewise_linear_energies_are_piecewise_linear",
        "draws_repeat_with_their_seed",
        "draws_follow_the_density",
    }
    without = kit.outcome("", home.energies_give_every_parameter_a_gradient, Subject("energy", DoubleWell))
    assert without == kit.Outcome("", "not promised", "a parameter to train")


class Own(Good):
    """Has a correct method `value_and_grad`."""

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with eval_mode(self):
            return value_and_grad(lambda x: energy_values(self, x), x)


@conforms("energy", Own, shape=(3,))
def test_an_energy_with_its_own_gradient_conforms(check):
    check()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_kinks_are_not_reported_as_wrong_gradients(activation):
    settings = {"activation": activation}
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", ConvNet, {"width": 8, **settings}, (3, 32, 32)))
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", MLP, settings, (2,)))


@pytest.mark.parametrize(("height", "scale"), [(1e-6, 1.0), (1e6, 1.0), (1.0, 0.01)])
def test_gradients_of_steep_and_flat_energies_pass(height, scale):
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", DoubleWell, {"height": height}, (3,)))
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", Mixture, {"scale": scale}, (3,)))


def test_the_kit_leaves_global_randomness_unchanged():
    assert changed_by(lambda: failed(Subject("energy", Good))) == ""


def lazy(shape):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.SiLU(), nn.LazyLinear(1))


@conforms("energy", lazy, shape=(3,))
def test_an_energy_of_lazy_layers_conforms(check):
    check()


@conforms("energy", ConvNet, shape=(3, 32, 32), width=4)
def test_the_convnet_conforms(check):
    check()


@conforms("energy", ConvNet, shape=(1, 8, 8), width=4, activation="relu")
def test_the_convnet_with_relu_conforms(check):
    check()


@conforms("energy", ResNet, shape=(3, 8, 16), width=4, stages=2)
def test_the_resnet_conforms(check):
    check()


@conforms("energy", ResNet, shape=(1, 8, 8), width=4, spectral_norm=True)
def test_the_resnet_with_spectral_norm_conforms(check):
    check()


@conforms("energy", MLP)
def test_the_mlp_conforms(check):
    check()


@conforms("energy", MLP, shape=(2, 3), width=8, activation="leaky_relu")
def test_the_mlp_on_small_matrices_conforms(check):
    check()


@conforms("energy", GaussianEnergy)
def test_the_gaussian_conforms(check):
    check()


@conforms("energy", GaussianEnergy, shape=(3, 1), mean=0.5, precision=FULL)
def test_the_gaussian_with_a_full_precision_conforms(check):
    check()


@conforms("energy", GaussianEnergy, shape=(1, 8, 8), precision=4.0)
def test_the_gaussian_of_images_conforms(check):
    check()


@conforms("energy", Mixture)
def test_the_mixture_conforms(check):
    check()


@conforms("energy", Mixture, shape=(1, 8, 8), modes=3)
def test_the_mixture_of_images_conforms(check):
    check()


@conforms("energy", DoubleWell)
def test_the_double_well_conforms(check):
    check()


@conforms("energy", DoubleWell, shape=(3, 4, 4), height=3.0, separation=0.5)
def test_the_double_well_of_images_conforms(check):
    check()
