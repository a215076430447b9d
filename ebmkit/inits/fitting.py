"""What every start that is fitted to data has in common: it is fitted once, saved with the model, and restored."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import InitDistribution


class FittedInit(InitDistribution):
    """A fixed p_0 that is estimated from examples at its first use, and whose estimate is its state.

    Where a saved state is loaded, the examples are never read.
    """

    _fitted: dict[str, Tensor] | None = None

    @property
    @abstractmethod
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the fitted tensors, by name."""

    @abstractmethod
    def fit(self) -> dict[str, Tensor]:
        """The fitted tensors by name, on the CPU, in any dtype."""

    @abstractmethod
    def draw(self, fitted: Mapping[str, Tensor], n: int, rng: Generator) -> Tensor:
        """`n` starts `(n, *shape)` from the fitted tensors, which are on the device of `rng`."""

    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` draws, `(n, *shape)`."""
        fitted = self.state_dict()
        if any(value.device != rng.device for value in fitted.values()):
            fitted = self._fitted = {name: value.to(rng.device) for name, value in fitted.items()}
        return self.draw(fitted, n, rng)

    def state_dict(self) -> dict[str, Tensor]:
        """The fitted tensors, not copies; they are fitted now if that was not done yet."""
        if self._fitted is None:
            # A tensor made in inference mode could not be used in a graph outside it.
            with torch.inference_mode(False), torch.no_grad():
                self._fitted = {
                    name: value.to(torch.float32, memory_format=torch.contiguous_format)
                    for name, value in self.fit().items()
                }
        return dict(self._fitted)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what was fitted, from any device; an empty state is fitted again at the next use.

        Raises:
            ValueError: if its tensors have other names or shapes.
        """
        found = {name: tuple(value.shape) for name, value in state.items()}
        if state and found != self.sizes:
            raise ValueError(f"the fitted start has tensors of shapes {self.sizes}, but the state has {found}")
        with torch.inference_mode(False):
            self._fitted = {name: value.detach().clone() for name, value in state.items()} or None
