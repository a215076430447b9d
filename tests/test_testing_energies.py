"""The kit's checks of energies: the built-in ones pass, and each planted fault fails by the names that tell it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit.energies.analytic import DoubleWell, Gaussian, Mixture
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet
from ebmkit.interfaces import energy_values, eval_mode, value_and_grad
from ebmkit.testing import conforms, kit, slopes
from ebmkit.testing import energies as home
from ebmkit.testing.globals import changed_by
from ebmkit.testing.kit import Subject

FULL = torch.tensor([[2.0, 0.6, 0.0], [0.6, 0.5, 0.1], [0.0, 0.1, 1.5]])
EVERYTHING = {
    name: check for name, check in kit.checks("energy").items() if check.__module__ in (home.__name__, slopes.__name__)
}


class Good(nn.Module):
    """A small network that does all that it must."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(math.prod(shape), 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        energy: Tensor = self.layers(x.flatten(1))
        return energy


class Scalar(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean()


class Centred(Good):
    def forward(self, x: Tensor) -> Tensor:
        energy = super().forward(x)
        return energy - energy.mean() / 2


class Shared(Good):
    """Depends on how large the batch is."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / len(x)


class Normed(Good):
    """Uses the batch's own statistics in evaluation mode too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.batch_norm(x, None, None, training=True) if len(x) > 1 else x)


class Detached(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class PartlyDetached(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.01 * (x * x.detach()).flatten(1).sum(1, keepdim=True)


class WrongOwn(Good):
    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = value_and_grad(lambda x: self.eval()(x), x)
        return value, 1.01 * gradient


class OtherOwn(Good):
    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = value_and_grad(lambda x: self.eval()(x), x)
        return value + 1, gradient


class Dropping(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.dropout(x))


class Jumping(Good):
    """Draws, but of what it draws nothing is seen."""

    def forward(self, x: Tensor) -> Tensor:
        np.random.rand()  # noqa: NPY002
        return super().forward(x)


class Writing(Good):
    def forward(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            x.clamp_(-0.5, 0.5)
        return super().forward(x.clamp(-0.5, 0.5))


class Counting(Good):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Single(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


class Logarithmic(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (1.5 + x).log().flatten(1).sum(1, keepdim=True)


class Remembering(Good):
    def forward(self, x: Tensor) -> Tensor:
        self.last = super().forward(x)
        return self.last


class Alone(Good):
    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        return self


class Unregistered(Good):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.tilt = torch.randn(math.prod(shape))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x.flatten(1) @ self.tilt.to(x.dtype)).unsqueeze(1)


class Curved(Good):
    piecewise_linear = True


class Idle(Good):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.idle = nn.Linear(2, 2)


class Unseeded(Good):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        weight = torch.from_numpy(np.random.randn(math.prod(shape)))  # noqa: NPY002
        self.register_buffer("tilt", weight.float())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x.flatten(1) @ self.tilt).unsqueeze(1)


class Viewing(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(len(x), -1))


class WrongScale(Gaussian):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return 1.1 * super().draw(n, rng)


class WrongPlace(Gaussian):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return super().draw(n, rng) + 0.1


class UnseededDraw(Gaussian):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return torch.randn(n, *self.mean.shape)


class ConstantDraw(Gaussian):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return super().draw(n, Generator().manual_seed(n))


def bare(shape: tuple[int, ...]) -> Any:
    return lambda x: x.square().flatten(1).sum(1)


GRADIENT = "energies_have_the_gradient_of_their_values"
MIXED = "energies_do_not_mix_examples"
OWN = "own_value_and_grad_agrees_with_autograd"
FAULTS: dict[str, tuple[Any, set[str]]] = {
    "a function": (bare, {"energies_are_modules"}),
    "a scalar": (
        Scalar,
        {
            "energies_give_one_value_per_example",
            MIXED,
            GRADIENT,
            "energies_depend_on_x_through_autograd",
            "energies_keep_the_dtype",
            "energies_are_finite_on_noise",
            "energies_can_be_copied",
            "energies_give_every_parameter_a_gradient",
        },
    ),
    "a mean over the batch": (Centred, {MIXED, GRADIENT}),
    "a share of the batch": (Shared, {MIXED}),
    "statistics of the batch": (Normed, {MIXED, GRADIENT}),
    "x detached": (
        Detached,
        {
            "energies_depend_on_x_through_autograd",
            GRADIENT,
            "energies_keep_the_dtype",
            "energies_are_finite_on_noise",
        },
    ),
    "x detached in a part": (PartlyDetached, {GRADIENT}),
    "an own gradient too large": (WrongOwn, {OWN, GRADIENT}),
    "own values": (OtherOwn, {OWN}),
    "dropout at all times": (
        Dropping,
        {"energies_repeat_in_evaluation_mode", MIXED, GRADIENT, "energies_take_any_memory_layout"},
    ),
    "numpy drawn from": (Jumping, {"energies_repeat_in_evaluation_mode"}),
    "x written to": (Writing, {"energies_leave_x_unchanged"}),
    "a buffer that counts": (Counting, {"energies_keep_their_state_in_evaluation_mode"}),
    "single precision at all times": (Single, {"energies_keep_the_dtype"}),
    "a logarithm": (Logarithmic, {"energies_are_finite_on_noise"}),
    "a graph kept": (Remembering, {"energies_can_be_copied"}),
    "a copy that is itself": (Alone, {"energies_can_be_copied"}),
    "weights not registered": (Unregistered, {"energies_are_restored_by_their_state_dict"}),
    "a layer not used": (Idle, {"energies_give_every_parameter_a_gradient"}),
    "weights by numpy": (Unseeded, {"energies_repeat_with_the_torch_seed"}),
    "a curve said to be straight": (Curved, {"piecewise_linear_energies_are_piecewise_linear"}),
    "a view": (Viewing, {"energies_take_any_memory_layout"}),
    "draws too wide": (WrongScale, {"draws_follow_the_density"}),
    "draws moved": (WrongPlace, {"draws_follow_the_density"}),
    "draws of the global generator": (UnseededDraw, {"draws_repeat_with_their_seed"}),
    "draws of one seed": (ConstantDraw, {"draws_repeat_with_their_seed", "draws_follow_the_density"}),
}


def failed(part: Subject) -> dict[str, str]:
    outcomes = [kit.outcome(name, check, part) for name, check in EVERYTHING.items()]
    return {one.check: one.reason for one in outcomes if one.verdict == "failed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_by_the_checks_that_name_it(fault):
    target, expected = FAULTS[fault]
    found = failed(Subject("energy", target, shape=(2, 4, 4)))
    assert set(found) == expected, found
    assert not [reason for reason in found.values() if "\n" in reason]


def test_every_check_catches_a_fault():
    assert set().union(*(expected for _, expected in FAULTS.values())) == set(EVERYTHING)


@pytest.mark.parametrize("shape", [(2,), (1,), (3, 4, 4)], ids=str)
def test_a_good_energy_fails_nothing(shape):
    assert failed(Subject("energy", Good, shape=shape)) == {}


def test_what_an_energy_does_not_have_is_not_held_against_it():
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
    """Has a right method of its own."""

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with eval_mode(self):
            return value_and_grad(lambda x: energy_values(self, x), x)


@conforms("energy", Own, shape=(3,))
def test_an_energy_with_its_own_gradient_conforms(check):
    check()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_kinks_are_no_wrong_gradients(activation):
    settings = {"activation": activation}
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", ConvNet, {"width": 8, **settings}, (3, 32, 32)))
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", MLP, settings, (2,)))


@pytest.mark.parametrize(("height", "scale"), [(1e-6, 1.0), (1e6, 1.0), (1.0, 0.01)])
def test_steep_and_flat_energies_have_right_gradients(height, scale):
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", DoubleWell, {"height": height}, (3,)))
    slopes.energies_have_the_gradient_of_their_values(Subject("energy", Mixture, {"scale": scale}, (3,)))


def test_the_kit_leaves_global_randomness_alone():
    assert changed_by(lambda: failed(Subject("energy", Good))) == ""


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
def test_the_resnet_with_spectral_norms_conforms(check):
    check()


@conforms("energy", MLP)
def test_the_mlp_conforms(check):
    check()


@conforms("energy", MLP, shape=(2, 3), width=8, activation="leaky_relu")
def test_the_mlp_on_small_matrices_conforms(check):
    check()


@conforms("energy", Gaussian)
def test_the_gaussian_conforms(check):
    check()


@conforms("energy", Gaussian, shape=(3, 1), mean=0.5, precision=FULL)
def test_the_gaussian_with_a_full_precision_conforms(check):
    check()


@conforms("energy", Gaussian, shape=(1, 8, 8), precision=4.0)
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
