"""The parts of a method, built from a recipe and placed on a device."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Generator, Tensor, nn

from ebmkit.acceleration.choice import Choice, choose
from ebmkit.acceleration.copying import tensors, unsized
from ebmkit.config.recipe import Recipe, asks_for, complete
from ebmkit.config.settings import Lazy
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, kind_and_message, one_line
from ebmkit.interfaces import EnergyFn, Sampler, energy_values, eval_mode
from ebmkit.modes import duplicated
from ebmkit.passes import CountedEnergy
from ebmkit.processes import Processes
from ebmkit.runs.device import place_on, threads_for

# The weights and buffers of the networks that were built, by `id`.
_built = WeakValueDictionary[int, Tensor]()


class DeferredExamples(Examples):
    """Examples that are opened at their first use: a part whose state is saved may never use them.

    Args:
        opened: Opens the examples.
    """

    def __init__(self, opened: Callable[[], Examples]) -> None:
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        """An attribute of the examples, which have none before they are opened."""
        if name.startswith("_"):  # copies and pickles look for methods that may not exist
            raise AttributeError(name)
        return getattr(self._opened(), name)


class NoOptimizer:
    """Stands in for an optimiser in a model that is opened to draw from: it has no weights to move, and no state."""

    param_groups: Sequence[Mapping[str, Any]] = ()


class RecipeParts:
    """Builds the parts of a method from a recipe: `parts.ROLE(...)`; see `ebmkit.Parts`.

    Args:
        recipe: The settings.
        shape: The shape of one example.
        data: Opens the examples; called at most once, and only if a part asks for them, as the init `data` does.
        device: Where the networks compute.
        saved: The states of parts by name that will be loaded, if any: an init with such a state opens the examples
            only if they are used.
        training: Whether optimisers are built; a model that is opened to draw from needs none.
        processes: Those that train the run, or open the model, together; None is only this one.
        wrap: What becomes of each sampler in a trial, whose chains compute with the energy as it is; None in a run.

    Attributes:
        built: Every part with its section and its facts, in the order in which they were built.
        choice: How chains compute; None before `chains` is called.
        on_pass: Called at every pass of a chain; None where nobody counts.
    """

    def __init__(
        self,
        recipe: Recipe,
        shape: tuple[int, ...],
        data: Callable[[], Examples],
        device: torch.device,
        *,
        saved: Mapping[str, Any] | None = None,
        training: bool = True,
        processes: Processes | None = None,
        wrap: Callable[[Sampler], Sampler] | None = None,
    ) -> None:
        self.recipe, self.shape, self.device = recipe, shape, device
        self.training, self.wrap = training, wrap
        self.processes = processes or Processes()
        self.batch = recipe.train.part(self.processes.size) if training else recipe.train.batch_size
        self.saved, self.restored = saved or {}, saved is not None
        self.opened = cache(data)
        self.data = Lazy(self.opened)
        self.built: list[tuple[str, Any, Mapping[str, Any]]] = []
        self.choice: Choice | None = None
        self.on_pass: Callable[[], None] | None = None

    def __getattr__(self, role: str) -> Callable[..., Any]:
        """The builder of the part of a role."""
        if role.startswith("_") or role not in self.recipe.parts:
            raise AttributeError(f"the method has no role '{role}'; its roles are {', '.join(self.recipe.parts)}")
        return partial(self.build, role)

    def build(self, role: str, *networks: nn.Module, **facts: Any) -> Any:
        """The part of a role.

        Args:
            role: Its section.
            *networks: The networks whose weights an optimiser moves.
            **facts: Facts besides, or instead of, the shape of an example and the data.

        Raises:
            UsageError: for a setting out of range, or a part that is not of its kind or cannot be used.
        """
        kind = self.recipe.parts[role].kind
        with complete():
            return self._build(kind, role, networks, facts)

    def _build(self, kind: str, role: str, networks: Sequence[nn.Module], facts: dict[str, Any]) -> Any:
        """`build`, for a part of this kind."""
        if kind == "optimizer":
            if not self.training:
                return NoOptimizer()
            facts = {"params": [parameter for network in networks for parameter in network.parameters()]}
            self._refuse_frozen(role, facts["params"], networks)
        if kind == "init" and "shape" in facts and "data" not in facts and asks_for(self.recipe.parts[role], "data"):
            raise UsageError(
                f"{named(self.recipe, role)} starts chains from the data, but those of method "
                f"'{self.recipe.parts['method'].name}' run in a space of their own, of shape {facts['shape']}: choose "
                f"another, like -s {role}.use=gaussian"
            )
        data = DeferredExamples(self.opened) if kind == "init" and self.saved.get(role) else self.data
        facts = {"shape": self.shape, "data": data, **facts}
        part = self.recipe.build(role, **facts)
        if isinstance(part, nn.Module):
            part = _own(part, self.recipe, role)
            if unsized(part):
                _give_sizes(part, self.recipe, role, facts.get("inputs", facts["shape"]))
            place_on(part, self.device)
        if kind == "sampler" and self.wrap is not None:
            part = self.wrap(part)
        self.built.append((role, part, facts))
        return part

    def _refuse_frozen(self, role: str, params: Sequence[nn.Parameter], networks: Sequence[nn.Module]) -> None:
        """Refuse an optimiser that has nothing to move."""
        if not any(one.requires_grad for one in params):
            found = [
                f"{self.recipe.parts[section].kind} '{self.recipe.parts[section].name}'"
                for section, part, _ in self.built
                if any(part is network for network in networks)
            ]
            what = " and ".join(found) or f"what {role} moves"
            raise UsageError(f"{what} has no parameters to train; it is for samplers and tests")

    def chains(
        self, energy: nn.Module, shape: tuple[int, ...] | None = None, gradients: int | None = None
    ) -> Callable[[nn.Module], EnergyFn]:
        """How chains compute an energy; see `ebmkit.Parts`."""
        if self.wrap is not None:
            return lambda energy: energy
        shape = self.shape if shape is None else shape
        with complete():
            stand_in = self._chosen(energy, shape, gradients).accelerated(energy)

        def refreshed(energy: nn.Module) -> EnergyFn:
            found = stand_in.refreshed(energy)
            return found if self.on_pass is None else CountedEnergy(found, self.on_pass)

        return refreshed

    def _chosen(self, energy: nn.Module, shape: tuple[int, ...], gradients: int | None) -> Choice:
        """How all chains of the run compute, measured on the first energy where that is asked for."""
        train = self.recipe.train
        if self.choice is None:
            x = (torch.rand(self.batch, *shape, generator=Generator().manual_seed(0)) * 2 - 1).to(self.device)
            self.choice = self.processes.from_first(
                lambda: choose(
                    energy,
                    x,
                    precision=train.precision,
                    compile=train.compile,
                    passes=None if gradients is None else gradients * train.iterations,
                    threads=threads_for([energy], train),
                )
            )
        return self.choice


def _own(energy: nn.Module, recipe: Recipe, section: str) -> nn.Module:
    """The network, or a copy if it shares weights with one that was built before: a factory may return one object.

    Raises:
        UsageError: if it cannot be copied.
    """
    if any(_built.get(id(one)) is one for one in tensors(energy)):
        try:
            energy = duplicated(energy)
        except Exception as error:
            raise UsageError(
                f"{named(recipe, section)} returned weights that another run has, and cannot be copied: "
                f"{kind_and_message(error)}; build new ones at each call"
            ) from error
    _built.update((id(one), one) for one in tensors(energy))
    return energy


def _give_sizes(network: nn.Module, recipe: Recipe, section: str, shape: tuple[int, ...]) -> None:
    """Lazy layers get their sizes in a first pass, and their weights from the seed of the run.

    Raises:
        UsageError: if the network cannot take inputs of this shape, or layers have no sizes afterwards.
    """
    take(network, recipe, section, torch.zeros(2, *shape))
    if unsized(network):
        raise UsageError(f"{named(recipe, section)} has lazy layers that its forward does not use: remove them")


def take(network: nn.Module, recipe: Recipe, section: str, x: Tensor) -> None:
    """Evaluate a network at `x` `(B, *shape)` in evaluation mode.

    Raises:
        UsageError: if that raises.
    """
    try:
        with torch.no_grad(), eval_mode(network):
            energy_values(network, x) if recipe.parts[section].kind == "energy" else network(x)
    except Exception as error:  # networks of third parties raise many kinds
        raise UsageError(
            f"{named(recipe, section)} cannot take examples of shape {tuple(x.shape[1:])}: {one_line(error)[:200]}"
        ) from error


def named(recipe: Recipe, section: str) -> str:
    """The part of a section in messages, like `energy 'convnet'`."""
    return f"{section} '{recipe.parts[section].name}'"
