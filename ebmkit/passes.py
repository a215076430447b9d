"""An energy that counts its passes."""

from collections.abc import Callable

from torch import Tensor

from ebmkit.interfaces import EnergyFn, energy_values, eval_mode, value_and_grad


class CountedEnergy:
    """An energy that calls a function at every pass.

    Args:
        energy: The energy.
        on_pass: Called before every evaluation of E, with or without its gradient.
    """

    def __init__(self, energy: EnergyFn, on_pass: Callable[[], None]) -> None:
        self.energy, self.on_pass = energy, on_pass
        self.piecewise_linear = bool(getattr(energy, "piecewise_linear", False))

    def __call__(self, x: Tensor) -> Tensor:
        """E(x) `(B,)`."""
        self.on_pass()
        with eval_mode(self.energy):
            return energy_values(self.energy, x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """E(x) `(B,)` and dE/dx `(B, *shape)`."""
        self.on_pass()
        return value_and_grad(self.energy, x)
