"""Maximum likelihood of examples given their classes."""

from typing import Any

import torch
from torch import Tensor

from ebmkit.interfaces import energy_values
from ebmkit.methods.class_energies import OfLabels
from ebmkit.methods.classes import ClassMethod
from ebmkit.methods.penalties import penalised
from ebmkit.methods.roles import Parts
from ebmkit.methods.update import Update


class ClassConditional(ClassMethod):
    """Class-conditional maximum likelihood: short-run chains on the energy E(x | y) of the class of each example.

    A network f has one output for each class, and E(x | y) = -f(x)[y]. One update lowers mean E(x | y) over the batch,
    less mean E(x | y) over the ends of as many chains of the same classes. Where no class is chosen, samples are of
    classes that are drawn uniformly.

    Source: class-conditional energies as in Du & Mordatch, NeurIPS 2019, section 3; chains and loss as in Nijkamp,
    Hill, Zhu, Wu, NeurIPS 2019, algorithm 1.

    Args:
        classes: How many classes there are.

    Raises:
        UsageError: unless there are at least 2 classes.
    """

    labels = "uniform"

    def __init__(self, parts: Parts, shape: tuple[int, ...], train: Any, *, classes: int = 10) -> None:
        super().__init__(parts, shape, train, classes=classes)
        labels = torch.zeros(parts.batch, dtype=torch.long, device=parts.device)
        self.chains = parts.chains(OfLabels(self.classifier, labels, classes))

    def update(self, batch: Tensor, labels: Tensor) -> Update:
        """One update of the weights on examples `(B, *shape)` of these classes `(B,)`."""
        energy = OfLabels(self.classifier, labels, self.classes)
        fake, chain = self.run_chains(self.chains(energy), len(batch))
        with self.training():
            real_energy, penalty = penalised(energy, batch, self.gradient_penalty)
            fake_energy = energy_values(energy, fake)
            loss = real_energy.mean() - fake_energy.mean() + penalty
            scalars = {"real_energy": real_energy.mean(), "fake_energy": fake_energy.mean(), **chain}
            descent = self.descend(loss, self.optimizer, scalars)
        return self.finish(descent, real_energy=real_energy, fake_energy=fake_energy, fake=fake)
