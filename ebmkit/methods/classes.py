"""What methods for examples of classes share: the network with an output for each class, and drawing by class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor, nn

from ebmkit.errors import UsageError, check
from ebmkit.interfaces import EnergyFn, eval_mode
from ebmkit.methods.chains import follow
from ebmkit.methods.class_energies import OfClasses, OfLabels
from ebmkit.methods.method import Method
from ebmkit.methods.roles import Parts, Role, role
from ebmkit.passes import CountedEnergy
from ebmkit.shortrun import ShortRun


@dataclass(frozen=True, kw_only=True)
class ClassShortRun(ShortRun):
    """The chain of a model of classes: `energy` is that of examples whatever their class.

    Attributes:
        network: f, whose outputs `(B, classes)` are the logits of the classes.
        given: Returns the energy of examples of the classes `(B,)`.
        classes: How many classes there are.
        labels: The class of every chain, or `uniform`, `in order`, or `any`: then chains run on `energy`.
    """

    network: nn.Module
    given: Callable[[Tensor], EnergyFn]
    classes: int
    labels: int | str = "any"

    def energy_of_chains(self, z: Tensor, rng: Generator) -> EnergyFn:
        """The energy of the chains from `z` `(B, *shape)`, of the classes that `labels` says."""
        if self.labels == "any":
            return self.energy
        if self.labels == "in order":
            return self.given(torch.arange(len(z), device=z.device) % self.classes)
        if self.labels == "uniform":
            return self.given(torch.randint(self.classes, (len(z),), generator=rng, device=z.device))
        return self.given(torch.full((len(z),), int(self.labels), device=z.device))

    def of_class(self, label: int) -> Self:
        """This model for one class.

        Raises:
            UsageError: unless the class is one of the model's.
        """
        if not 0 <= label < self.classes:
            raise UsageError(f"the classes of this model are 0 to {self.classes - 1}, not {label}")
        return replace(self, labels=label)

    def counted(self, on_pass: Callable[[], None]) -> Self:
        """This model with a function that is called at every pass."""
        given = self.given
        counting = super().counted(on_pass)
        return replace(counting, given=lambda labels: CountedEnergy(given(labels), on_pass))

    def trace(
        self, n: int, rng: Generator, *, rows: int, looks: int = 5, batch: int = 64
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """As in `ShortRun`; chain i is of class i modulo the number of classes, unless one class is chosen."""
        shown = self if isinstance(self.labels, int) else replace(self, labels="in order")
        return ShortRun.trace(shown, n, rng, rows=rows, looks=looks, batch=batch)

    def logits(self, x: Tensor, *, batch: int = 256) -> Tensor:
        """The logits of the classes `(n, classes)` for examples `(n, *shape)`, at most `batch` at once."""
        with torch.no_grad(), eval_mode(self.network):
            return torch.cat([self.network(part) for part in torch.split(x, batch)])


class ClassMethod(Method):
    """A method with a network f that has one output for each class: E(x | y) = -f(x)[y].

    Args:
        classes: How many classes there are.

    Raises:
        UsageError: unless there are at least 2 classes.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "classifier": role("network", "convnet"),
        "sampler": role("sampler", "langevin"),
        "init": role("init", "uniform"),
        "optimizer": role("optimizer", "adam"),
    }
    uses: ClassVar[Sequence[str]] = ("gradient_penalty",)
    gradient_penalty: float
    classes: int
    labels = "any"  # of the chains of the model, where no class is chosen

    def __init__(self, parts: Parts, shape: tuple[int, ...], train: Any, *, classes: int = 10) -> None:
        check("classes", classes, at_least=2)
        self.classes, self.gradient_penalty = classes, train.penalty(shape)
        self.classifier = parts.classifier(inputs=shape, outputs=(classes,))
        self.sampler, self.init = parts.sampler(), parts.init()
        self.optimizer = parts.optimizer(self.classifier)
        self.parts = parts

    @property
    def passes_outside(self) -> int:
        """Passes of an update besides those of its chains: on the batch, on the samples, and for the penalty."""
        return 3 if self.gradient_penalty else 2

    def run_chains(self, energy: EnergyFn, n: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Where `n` chains on an energy end, and what was measured along them."""
        start = self.init.sample(n, self.rng)
        with eval_mode(energy):
            fake, chain = follow(start, self.sampler.chain(energy, start, self.rng))
        self.init.remember(fake)
        return fake, chain

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ClassShortRun:
        """The chains on the energy of a class, or of examples whatever their class."""
        network, parts, classes = networks["classifier"], self.parts, self.classes

        def given(labels: Tensor) -> EnergyFn:
            energy = OfLabels(network, labels, classes)
            return parts.chains(energy)(energy)

        energy = OfClasses(network)
        return ClassShortRun(
            energy=parts.chains(energy)(energy),
            sampler=self.sampler,
            init=self.init,
            network=network,
            given=given,
            classes=classes,
            labels=self.labels,
        )
