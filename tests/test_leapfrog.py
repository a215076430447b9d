"""What the leapfrog of HMC conserves, without statistics; wrong integrators fail each test."""

import math

import pytest
import torch
from laws.mutants import Euler, Phase
from torch import Generator, Tensor

from ebmkit.interfaces import EnergyFn, value_and_grad
from ebmkit.samplers.hmc import HMC


class OneKick(HMC):
    """Leapfrogs with a whole kick at the start and none at the end: volume is conserved, reversibility is not."""

    def leapfrogs(self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor) -> Phase:
        for _ in range(self.leapfrog):
            momentum = momentum - self.step_size * gradient
            x = x + self.step_size * momentum
            value, gradient = value_and_grad(energy, x)
        return x, momentum, value, gradient


class ThirdKick(HMC):
    """Leapfrogs with half a kick at the start and a third of one at the end."""

    def leapfrogs(self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor) -> Phase:
        for _ in range(self.leapfrog):
            momentum = momentum - self.step_size / 2 * gradient
            x = x + self.step_size * momentum
            value, gradient = value_and_grad(energy, x)
            momentum = momentum - self.step_size / 3 * gradient
        return x, momentum, value, gradient


class Friction(HMC):
    """Leapfrogs that lose a millionth of the momentum: volume is not conserved."""

    def leapfrogs(self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor) -> Phase:
        x, momentum, value, gradient = super().leapfrogs(energy, x, momentum, gradient)
        return x, momentum * (1 - 1e-6), value, gradient


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def square(x: Tensor) -> Tensor:
    return x.square().sum(1) / 2


def quartic(x: Tensor) -> Tensor:
    return x.square().square().sum(1) / 4


def anharmonic(x: Tensor) -> Tensor:
    """Two coupled coordinates, without symmetry."""
    a, b = x.unbind(1)
    return a.square() / 2 + b.square() + a.square() * b - b.pow(3) / 3 + (a * b).square() / 4


def modified_energy_drift(kind: type[HMC], dtype: torch.dtype = torch.float64) -> float:
    """The largest change of p²/2 + q²/2 (1 - e²/4) in 1,000 steps of e = 0.7."""
    step = 0.7
    sampler = kind(step_size=step, leapfrog=1)
    x, p = normal(20, 1, dtype=dtype), normal(20, 1, seed=1, dtype=dtype)
    first, worst, gradient = p.square() / 2 + x.square() / 2 * (1 - step**2 / 4), 0.0, x
    for _ in range(1000):
        x, p, _, gradient = sampler.leapfrogs(square, x, p, gradient)
        drift = (p.square() / 2 + x.square() / 2 * (1 - step**2 / 4) - first).abs().max()
        worst = max(worst, float(drift.nan_to_num(math.inf)))
    assert x.dtype == dtype
    return worst


def way_back(kind: type[HMC], energy: EnergyFn, mass: float | Tensor = 1.0) -> float:
    """The distance from its start of a trajectory that is integrated, reversed, and integrated again."""
    sampler = kind(step_size=0.05, leapfrog=40, mass=mass)
    x, p = normal(50, 3), normal(50, 3, seed=1)
    end, momentum, _, gradient = sampler.leapfrogs(energy, x, p, value_and_grad(energy, x)[1])
    assert (end - x).abs().max() > 0.1
    back, momentum, _, _ = sampler.leapfrogs(energy, end, -momentum, gradient)
    return float(torch.maximum((back - x).abs().max(), (momentum + p).abs().max()))


def jacobian(kind: type[HMC]) -> Tensor:
    """d(q', p') / d(q, p) `(4, 4)` of a trajectory in the anharmonic potential."""
    sampler = kind(step_size=0.1, leapfrog=5)

    def end(phase: Tensor) -> Tensor:
        x, p = phase.view(2, 1, 2)
        x, p, _, _ = sampler.leapfrogs(anharmonic, x, p, value_and_grad(anharmonic, x)[1])
        return torch.cat([x.flatten(), p.flatten()])

    phase = torch.tensor([0.4, -0.3, 0.7, 0.5], dtype=torch.float64)
    found: Tensor = torch.autograd.functional.jacobian(end, phase)
    return found


def volume_error(kind: type[HMC]) -> float:
    return float((torch.linalg.det(jacobian(kind)) - 1).abs())


def symplectic_error(kind: type[HMC]) -> float:
    j, eye = jacobian(kind), torch.eye(2, dtype=torch.float64)
    omega = torch.zeros(4, 4, dtype=torch.float64)
    omega[:2, 2:], omega[2:, :2] = eye, -eye
    return float((j.T @ omega @ j - omega).abs().max())


def test_the_leapfrog_conserves_its_modified_energy():
    assert modified_energy_drift(HMC) < 1e-11


def test_the_modified_energy_is_conserved_in_single_precision():
    assert modified_energy_drift(HMC, torch.float32) < 1e-4


@pytest.mark.parametrize("wrong", [Euler, OneKick, ThirdKick, Friction])
def test_modified_energy_reveals_wrong_integrators(wrong: type[HMC]):
    assert modified_energy_drift(wrong) > 1e-4


@pytest.mark.parametrize("mass", [1.0, torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)], ids=["float", "tensor"])
def test_the_leapfrog_is_reversible(mass: float | Tensor):
    assert way_back(HMC, square, mass) < 1e-11
    assert way_back(HMC, quartic, mass) < 1e-9


@pytest.mark.parametrize("wrong", [Euler, OneKick, ThirdKick, Friction])
def test_reversibility_reveals_wrong_integrators(wrong: type[HMC]):
    assert way_back(wrong, square) > 1e-9
    assert way_back(wrong, quartic) > 1e-9


def test_the_leapfrog_keeps_volume():
    assert volume_error(HMC) < 1e-12


@pytest.mark.parametrize("wrong", [Euler, Friction])
def test_volume_reveals_wrong_integrators(wrong: type[HMC]):
    assert volume_error(wrong) > 1e-12


def test_the_leapfrog_is_symplectic():
    assert symplectic_error(HMC) < 1e-12


@pytest.mark.parametrize("wrong", [Euler, Friction])
def test_symplecticity_reveals_wrong_integrators(wrong: type[HMC]):
    assert symplectic_error(wrong) > 1e-12


@pytest.mark.parametrize("wrong", [OneKick, ThirdKick])
def test_volume_does_not_reveal_kicks_of_a_wrong_size(wrong: type[HMC]):
    assert volume_error(wrong) < 1e-12
    assert symplectic_error(wrong) < 1e-12


def test_the_energy_error_falls_with_the_square_of_the_step():
    def error(leapfrog: int) -> float:
        sampler = HMC(step_size=2.0 / leapfrog, leapfrog=leapfrog)
        x, p = normal(50, 2), normal(50, 2, seed=1)
        _, end, value, _ = sampler.leapfrogs(quartic, x, p, value_and_grad(quartic, x)[1])
        return float((value + sampler.kinetic(end) - quartic(x) - sampler.kinetic(p)).abs().mean())

    assert error(400) / error(800) == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(("steps", "leapfrog"), [(1, 1), (4, 1), (3, 5)])
def test_a_trajectory_takes_one_gradient_per_leapfrog(steps: int, leapfrog: int):
    examples = []

    def counting(x: Tensor) -> Tensor:
        examples.append(len(x))
        return square(x)

    sampler = HMC(steps=steps, step_size=0.1, leapfrog=leapfrog)
    x = normal(7, 3)
    sampler.leapfrogs(counting, x, x, x)
    assert examples == [7] * leapfrog
    examples.clear()
    sampler.sample(counting, x, Generator().manual_seed(0))
    assert examples == [7] * sampler.promises.gradients == [7] * (steps * leapfrog + 1)
