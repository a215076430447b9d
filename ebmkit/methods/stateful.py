"""The state of a method: every attribute that has one, so that nothing can be forgotten."""

from collections.abc import Mapping
from typing import Any

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from ebmkit.errors import UsageError
from ebmkit.methods.averaging import Average
from ebmkit.methods.clipping import RunningBound


class Stateful:
    """Saves and restores every attribute that has a state.

    Attributes:
        index: How many updates were made.
        averages: Moving averages of the networks by name; none if the run keeps no average.
        bounds: The running bounds on the gradients by the name of their optimiser; none if the run has no such bound.
    """

    averages: dict[str, Average]
    bounds: dict[str, RunningBound]
    index = 0

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks, by the names of their attributes."""
        return {name: one for name, one in vars(self).items() if isinstance(one, nn.Module)}

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """The optimisers, by the names of their attributes."""
        return {name: one for name, one in vars(self).items() if isinstance(one, Optimizer)}

    @property
    def stateful(self) -> dict[str, Any]:
        """Every attribute that has a state, by name; a generator of random numbers is one."""
        return {
            name: one
            for name, one in vars(self).items()
            if isinstance(one, Generator) or (hasattr(one, "state_dict") and hasattr(one, "load_state_dict"))
        }

    @property
    def drawn_from(self) -> list[str]:
        """The names of those attributes with a state that a model needs: all except optimisers and generators."""
        return [name for name, one in self.stateful.items() if not isinstance(one, Generator | Optimizer)]

    def random_states(self) -> dict[str, Tensor]:
        """The state of each generator of random numbers, by name."""
        return {name: one.get_state() for name, one in self.stateful.items() if isinstance(one, Generator)}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, except the batches: tensors and plain types."""
        plain = {name: one.state_dict() for name, one in self.stateful.items() if not isinstance(one, Generator)}
        return {
            "index": self.index,
            **plain,
            **self.random_states(),
            "average": {name: average.state_dict() for name, average in self.averages.items()},
            "gradient_norms": {name: bound.norms for name, bound in self.bounds.items()},
            "model": self.drawn_from,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, bit for bit.

        Raises:
            UsageError: if it is the state of a method with other attributes.
        """
        known = {*self.state_dict()}
        if known != set(state):
            others = ", ".join(sorted(known ^ set(state)))
            raise UsageError(f"the state is not that of {type(self).__name__}: {others} is in one of them only")
        self.index = state["index"]
        for name, one in self.stateful.items():
            if isinstance(one, Generator):
                one.set_state(state[name].cpu())
            else:
                one.load_state_dict(state[name])
        for name, average in self.averages.items():
            average.load_state_dict(state["average"][name])
        for name, bound in self.bounds.items():
            bound.norms = state["gradient_norms"][name].to(bound.norms)
