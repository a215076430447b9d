"""What a method of training works with: its roles, which are sections of the settings, and who builds their parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from ebmkit.interfaces import EnergyFn
from ebmkit.processes import Processes


@dataclass(frozen=True)
class Role:
    """A part that a method works with: a section of the settings, like `[sampler]` or `[posterior]`.

    Attributes:
        kind: energy, network, sampler, init or optimizer.
        use: The name of the part that is used if none is chosen.
        settings: Default settings of that part in this role, where they are not its own.
    """

    kind: str
    use: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def role(kind: str, use: str, **settings: Any) -> Role:
    """A role whose part is `use` with these settings if nothing else is chosen."""
    return Role(kind, use, settings)


class Parts(Protocol):
    """Builds the parts of a method, on the device of the run: `parts.ROLE(...)` is the part of the role of that name.

    A part gets the facts that it asks for: the shape of an example and the data of the run, or those that are given
    here by name, as in `parts.energy(shape=(latent,))` and `parts.generator(inputs=(latent,), outputs=shape)`. An
    optimiser is given the networks whose weights it moves: `parts.optimizer(self.energy)`.

    Attributes:
        restored: Whether the state of the method will be loaded: then nothing need be fitted or read.
        device: Where the networks are.
        batch: How many examples, and chains, an update has in this process.
        processes: The processes that train the run together.
    """

    restored: bool
    device: torch.device
    batch: int
    processes: Processes

    def __getattr__(self, role: str) -> Callable[..., Any]:
        """The builder of the part of a role."""

    def chains(
        self, energy: nn.Module, shape: tuple[int, ...] | None = None, gradients: int | None = None
    ) -> Callable[[nn.Module], EnergyFn]:
        """How chains compute an energy: a function that is called with the energy before each chain.

        What it returns has the same values and gradients, and is faster; see `ebmkit.Accelerated`. The energy may
        change its weights and its buffers between chains.

        Args:
            energy: The energy, which is a module.
            shape: The shape of a state of the chains; None is that of an example.
            gradients: How many gradients a chain takes in one update; None if that is not known.
        """
