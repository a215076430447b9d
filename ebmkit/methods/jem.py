"""JEM: a classifier that is an energy-based model too."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional

from ebmkit.errors import check
from ebmkit.interfaces import energy_values
from ebmkit.methods.class_energies import OfClasses
from ebmkit.methods.classes import ClassMethod
from ebmkit.methods.penalties import penalised
from ebmkit.methods.roles import Parts
from ebmkit.methods.update import Update


class JEM(ClassMethod):
    """A joint energy-based model: maximum likelihood of the examples beside a classifier's loss, by one network.

    A network f has one output for each class, E(x) = -log sum_y exp(f(x)[y]), and p(y | x) is the softmax of f(x). One
    update lowers mean E over the batch, less mean E over the ends of as many chains, plus `weight` times the cross
    entropy of the labels: together -log p(x, y). Samples of a class are drawn on E(x | y) = -f(x)[y].

    Source: Grathwohl et al., ICLR 2020, eq. 5 and 7, algorithm 1; there with a replay buffer (`--init replay`).

    Args:
        classes: How many classes there are.
        weight: Weight of the cross entropy in the loss; 1 is the joint likelihood.

    Raises:
        UsageError: unless there are at least 2 classes, and the weight is not negative.
    """

    terms: ClassVar[Sequence[str]] = ("cross_entropy", "accuracy")

    def __init__(
        self, parts: Parts, shape: tuple[int, ...], train: Any, *, classes: int = 10, weight: float = 1.0
    ) -> None:
        check("weight", weight, at_least=0)
        super().__init__(parts, shape, train, classes=classes)
        self.weight = weight
        self.chains = parts.chains(OfClasses(self.classifier))

    def update(self, batch: Tensor, labels: Tensor) -> Update:
        """One update of the weights on examples `(B, *shape)` of these classes `(B,)`."""
        energy = OfClasses(self.classifier)
        fake, chain = self.run_chains(self.chains(energy), len(batch))
        with self.training():
            real_energy, penalty = penalised(energy, batch, self.gradient_penalty)
            fake_energy = energy_values(energy, fake)
            logits = self.classifier(batch)
            cross_entropy = functional.cross_entropy(logits, labels)
            loss = real_energy.mean() - fake_energy.mean() + penalty
            scalars = {
                "real_energy": real_energy.mean(),
                "fake_energy": fake_energy.mean(),
                "cross_entropy": cross_entropy,
                "accuracy": (logits.detach().argmax(1) == labels).float().mean(),
                **chain,
            }
            descent = self.descend(loss + self.weight * cross_entropy, self.optimizer, scalars)
        return self.finish(descent, real_energy=real_energy, fake_energy=fake_energy, fake=fake)

    @property
    def passes_outside(self) -> int:
        """Passes of an update besides those of its chains: also one for the labels."""
        return super().passes_outside + 1
