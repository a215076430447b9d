"""Energies with planted faults: `FAULTS` maps what is wrong to the energy and the checks that must fail."""

import math
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit.energies.analytic import GaussianEnergy
from ebmkit.interfaces import value_and_grad


class Good(nn.Module):
    """A small network that meets every requirement."""

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
    """Depends on the size of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / len(x)


class Normed(Good):
    """Uses the statistics of the batch in evaluation mode too."""

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
    """Draws from numpy, without using the values."""

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


class CopiesItself(Good):
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


class WrongScale(GaussianEnergy):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return 1.1 * super().draw(n, rng)


class WrongPlace(GaussianEnergy):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return super().draw(n, rng) + 0.1


class UnseededDraw(GaussianEnergy):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return torch.randn(n, *self.mean.shape)


class ConstantDraw(GaussianEnergy):
    def draw(self, n: int, rng: Generator) -> Tensor:
        return super().draw(n, Generator().manual_seed(n))


class NumpyState(Good):
    """Keeps a value of numpy in its state."""

    def get_extra_state(self) -> Any:
        return {"scale": np.float64(1.0)}

    def set_extra_state(self, state: Any) -> None:
        pass


class Forgetful(Good):
    """Does not restore what it saved."""

    scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale = 2.0
        return super().forward(x)

    def get_extra_state(self) -> Any:
        return {"scale": self.scale}

    def set_extra_state(self, state: Any) -> None:
        pass


class Growing(Good):
    """Registers a buffer in training that a new energy lacks."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not hasattr(self, "mean"):
            self.register_buffer("mean", x.detach().mean(0))
        return super().forward(x)


class Graphless(Good):
    """Has other values where nobody asks for gradients."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (0.0 if torch.is_grad_enabled() else 1.0)


def bare(shape: tuple[int, ...]) -> Any:
    return lambda x: x.square().flatten(1).sum(1)


GRADIENT = "energies_have_the_gradient_of_their_values"
READ = "energies_are_read_back_from_a_checkpoint"
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
            READ,
            "energies_are_the_same_without_gradients",
        },
    ),
    "a mean over the batch": (Centred, {MIXED, GRADIENT}),
    "divided by the size of the batch": (Shared, {MIXED}),
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
    "x detached in one term": (PartlyDetached, {GRADIENT}),
    "a wrong gradient in value_and_grad": (WrongOwn, {OWN, GRADIENT}),
    "wrong values in value_and_grad": (OtherOwn, {OWN}),
    "dropout in evaluation mode": (
        Dropping,
        {"energies_repeat_in_evaluation_mode", MIXED, GRADIENT, "energies_take_any_memory_layout"},
    ),
    "draws from numpy": (Jumping, {"energies_repeat_in_evaluation_mode"}),
    "writes to x": (Writing, {"energies_leave_x_unchanged"}),
    "a buffer that counts": (Counting, {"energies_keep_their_state_in_evaluation_mode"}),
    "always single precision": (Single, {"energies_keep_the_dtype"}),
    "a logarithm": (Logarithmic, {"energies_are_finite_on_noise"}),
    "a stored graph": (Remembering, {"energies_can_be_copied"}),
    "a copy that is the original": (CopiesItself, {"energies_can_be_copied"}),
    "weights not registered": (Unregistered, {"energies_are_restored_by_their_state_dict"}),
    "an unused layer": (Idle, {"energies_give_every_parameter_a_gradient"}),
    "weights drawn by numpy": (Unseeded, {"energies_repeat_with_the_torch_seed"}),
    "declared piecewise linear, but curved": (Curved, {"piecewise_linear_energies_are_piecewise_linear"}),
    "a value of numpy in its state": (NumpyState, {READ}),
    "a state that is not restored": (Forgetful, {READ}),
    "a buffer that training adds": (Growing, {READ}),
    "other values without gradients": (Graphless, {"energies_are_the_same_without_gradients"}),
    "a view of x": (Viewing, {"energies_take_any_memory_layout"}),
    "draws too wide": (WrongScale, {"draws_follow_the_density"}),
    "draws shifted": (WrongPlace, {"draws_follow_the_density"}),
    "draws from the global generator": (UnseededDraw, {"draws_repeat_with_their_seed"}),
    "draws with a fixed seed": (ConstantDraw, {"draws_repeat_with_their_seed", "draws_follow_the_density"}),
}
