"""The law of denoising score matching: where its loss has no gradient."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ebmkit.methods.denoising import DenoisingScoreMatching
from ebmkit.methods.method import Descent
from laws.law import Law, mean_z, normal, rng

UPDATES, BATCH = 300, 100
MEAN, SD, SIGMA = 0.4, 0.5, 0.3


class Parabola(nn.Module):
    """(x - mean)² / (2 variance)."""

    def __init__(self, mean: float, variance: float) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean, dtype=torch.float64))
        self.variance = nn.Parameter(torch.tensor(variance, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean).square().sum(1) / (2 * self.variance)


class Resting(DenoisingScoreMatching):
    """The method for an energy, which keeps the gradients of its loss and makes no step."""

    def __init__(self, energy: nn.Module, sigma: float) -> None:
        self.energy, self.sigma, self.slopes = energy, sigma, list[Tensor]()
        self.optimizer = torch.optim.SGD(energy.parameters(), lr=0.0)
        self.begin(rng(71))

    def descend(self, loss: Tensor, optimizer: Optimizer, scalars: None = None) -> Descent:
        found = super().descend(loss, optimizer)
        self.slopes.append(torch.stack([one.grad for one in self.energy.parameters() if one.grad is not None]))
        return found


def optimum(*, mean: float = MEAN, variance: float = SD**2 + SIGMA**2, sigma: float = SIGMA) -> float:
    """The mean gradient of the loss by both parameters, at the energy of the data with noise of SIGMA."""
    method, generator = Resting(Parabola(mean, variance), sigma), rng(72)
    for _ in range(UPDATES):
        method.update(MEAN + SD * normal(generator, BATCH, 1))
    return mean_z(torch.stack(method.slopes))


LAWS = [
    Law(
        "denoising, optimum",
        "for Gaussian data the loss has no gradient at the energy of the data with the noise: variance s² + σ²",
        optimum,
        {
            "the energy of the data without noise": {"variance": SD**2},
            "the mean moved by 0.05": {"mean": MEAN + 0.05},
            "noise of another size": {"sigma": 1.2 * SIGMA},
        },
    ),
]
