"""Samplers, and energies that show what samplers do to them; shared by several test files."""

from torch import Generator, Tensor, nn

from ebmkit.interfaces import Sampler
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin

SAMPLERS: dict[str, Sampler] = {
    "langevin": Langevin(steps=4, step_size=0.1, noise=0.1),
    "hmc": HMC(steps=4, step_size=0.1, leapfrog=3),
    "hmc-unadjusted": HMC(steps=4, step_size=0.1, leapfrog=3, adjust=False),
}


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


class Network(nn.Module):
    """A network with everything that evaluation mode changes; it raises at its call number `fail_at`."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        self.calls, self.fail_at = 0, fail_at
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("on purpose")
        energies: Tensor = self.layers(x)
        return energies


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]
