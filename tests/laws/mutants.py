"""Hamiltonian Monte Carlo with one mistake each."""

from torch import Tensor

from ebmkit.interfaces import EnergyFn, value_and_grad
from ebmkit.samplers.hmc import HMC

Phase = tuple[Tensor, Tensor, Tensor, Tensor]


class Euler(HMC):
    """The Euler method instead of the leapfrog."""

    def leapfrogs(self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor) -> Phase:
        for _ in range(self.leapfrog):
            x, momentum = x + self.step_size * momentum, momentum - self.step_size * gradient
            value, gradient = value_and_grad(energy, x)
        return x, momentum, value, gradient


class NoLastKick(HMC):
    """Leaves out the last half kick of a trajectory."""

    def leapfrogs(self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor) -> Phase:
        x, momentum, value, gradient = super().leapfrogs(energy, x, momentum, gradient)
        return x, momentum + self.step_size / 2 * gradient, value, gradient


class Friction(HMC):
    """Loses a hundredth of the momentum in each trajectory."""

    def leapfrogs(self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor) -> Phase:
        x, momentum, value, gradient = super().leapfrogs(energy, x, momentum, gradient)
        return x, 0.99 * momentum, value, gradient


class WrongSign(HMC):
    """Changes the energy at the end so that ΔH has the opposite sign."""

    def leapfrogs(self, energy: EnergyFn, x: Tensor, momentum: Tensor, gradient: Tensor) -> Phase:
        before = value_and_grad(energy, x)[0] + self.kinetic(momentum)
        x, momentum, value, gradient = super().leapfrogs(energy, x, momentum, gradient)
        return x, momentum, 2 * before - value - 2 * self.kinetic(momentum), gradient


class Undivided(HMC):
    """Uses |p|² as the kinetic energy."""

    def kinetic(self, momentum: Tensor) -> Tensor:
        return 2 * super().kinetic(momentum)
